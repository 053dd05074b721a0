"""The lab for every workflow test."""

from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client

from tests.workflows.lab import Lab, a_lab


@pytest_asyncio.fixture
async def lab(client: Client) -> AsyncIterator[Lab]:
    async with a_lab(client) as running:
        yield running
