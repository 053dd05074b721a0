"""What whole releases on the full test bed share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.testbed.bed import Bed
from tests.e2e.site import Site, a_site


@pytest.fixture
async def site(full_bed: Bed, tmp_path: Path) -> AsyncIterator[Site]:
    async with a_site(full_bed, tmp_path) as made:
        yield made
