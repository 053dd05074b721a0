"""A real Temporal server for the command line, shared by all of a process's tests; each test has its own task queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from typer.testing import CliRunner, Result

from cli.app import app
from cli.client import Headgate
from cli.tools import Toolbox
from cli.visibility import is_polled
from tests.cli.real import RealRelease, a_real_release
from tests.cli.stub import a_worker
from workflows.engine.visibility import KEYS


@dataclass(frozen=True)
class Server:
    """Where a dev server listens."""

    address: str


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One dev server with Headgate's search attributes; it lives in a thread with a loop of its own."""
    ready, stop, found = threading.Event(), threading.Event(), list[str]()

    async def serve() -> None:
        binary = Toolbox().temporal().path
        env = await WorkflowEnvironment.start_local(dev_server_existing_path=str(binary), search_attributes=list(KEYS))
        async with env:
            found.append(env.client.service_client.config.target_host)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(300), "the dev server did not start"
    yield Server(found[0])
    stop.set()
    thread.join(30)


@pytest.fixture
def queue() -> str:
    return f"headgate-{uuid4().hex[:8]}"


@pytest.fixture
def name(queue: str) -> str:
    """A release name that no other test uses."""
    return queue.replace("headgate", "shop")


@pytest.fixture
async def temporal(server: Server) -> Client:
    return await Client.connect(server.address, data_converter=pydantic_data_converter)


@pytest.fixture
async def headgate(temporal: Client, queue: str) -> Headgate:
    return Headgate(temporal, task_queue=queue)


@pytest.fixture
async def polled(temporal: Client, queue: str) -> AsyncIterator[None]:
    """A worker with the stub workflows."""
    async with a_worker(temporal, queue):
        yield


@pytest.fixture
def worker(server: Server, queue: str) -> Iterator[None]:
    """The same for tests without a loop."""
    ready, stop = threading.Event(), threading.Event()

    async def work() -> None:
        client = await Client.connect(server.address, data_converter=pydantic_data_converter)
        async with a_worker(client, queue):
            while not await is_polled(client, queue):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    assert ready.wait(30), "the worker did not start"
    yield
    stop.set()
    thread.join(30)


@pytest.fixture
async def real(client: Client) -> AsyncIterator[RealRelease]:
    """The real workflows over a world in memory."""
    async with a_real_release(client) as running:
        yield running


Headgated = Callable[..., Result]


@pytest.fixture
def run(server: Server, queue: str, monkeypatch: pytest.MonkeyPatch) -> Headgated:
    """`run("status", "test/shop")` runs the command line against the server."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    monkeypatch.setenv("HEADGATE_TASK_QUEUE", queue)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: Any, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return run
