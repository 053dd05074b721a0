"""Temporal servers for tests: one dev server and one time-skipping server for each pytest process.

Servers are shared, so a test takes names and task queues that nobody else uses; `unique` makes them.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from cli.tools import Toolbox
from workflows.engine.visibility import KEYS

PATIENCE = timedelta(minutes=1)
"""Until a server must answer; the SDK's five seconds are too few on a machine that does much else."""


def unique(prefix: str) -> str:
    """A valid Headgate name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def status_of(handle: WorkflowHandle[Any, Any], **options: Any) -> Any:
    """The status of a workflow, which may be asked too early; see `worker/ordering.py`."""
    while True:
        with suppress(WorkflowQueryFailedError):
            return await handle.query("status", **options)


async def end_of(handle: WorkflowHandle[Any, Any]) -> tuple[str, str]:
    """How a release ends: the outcome and its sentence."""
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        if not isinstance(error.cause, ApplicationError):
            raise
        return str(error.cause.type), error.cause.message
    return str(result["outcome"]), str(result["message"])


async def undone(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """The result of a release that went back; any other fails the test."""
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    found: dict[str, Any] = failed.value.cause.details[0]
    return found


@asynccontextmanager
async def a_dev_server() -> AsyncIterator[WorkflowEnvironment]:
    """A real, empty server on free ports with Headgate's search attributes."""
    async with await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(Toolbox().temporal().path),
        dev_server_log_level="error",
        dev_server_startup_timeout=PATIENCE,
        search_attributes=KEYS,
    ) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dev_server() -> AsyncIterator[WorkflowEnvironment]:
    """The server that most tests share."""
    async with a_dev_server() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose clock jumps to the next timer while a test awaits a workflow's result."""
    async with await WorkflowEnvironment.start_time_skipping(
        data_converter=pydantic_data_converter,
        test_server_existing_path=str(Toolbox().test_server().path),
        test_server_startup_timeout=PATIENCE,
    ) as server:
        attributes = {key.name: key.indexed_value_type for key in KEYS}
        await server.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=server.client.namespace, search_attributes=attributes)  # type: ignore[arg-type]
        )
        yield server


@pytest_asyncio.fixture
async def client(dev_server: WorkflowEnvironment) -> Client:
    """A client of the dev server that belongs to the test's own event loop."""
    return await Client.connect(address_of(dev_server), data_converter=pydantic_data_converter)


def address_of(server: WorkflowEnvironment) -> str:
    """`host:port`, for `TEMPORAL_ADDRESS`."""
    return server.client.service_client.config.target_host
