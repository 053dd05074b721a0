"""A worker as a process of its own, and the world around it: a webhook that waits, and a workflow that calls it."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from temporalio import workflow

from workflows.contracts.notifications import Notification, NotificationActivities
from workflows.model.target import ReleaseRef

PATIENCE = 90  # The machine may have other things to do.
REPOSITORY = Path(__file__).parents[2]


@dataclass
class WorkerProcess:
    """`python -m worker`, with what it wrote so far."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def read(self) -> None:
        """Collects the output until the process ends."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self.changed:
                self.lines.append(line.decode().rstrip())
                self.changed.notify_all()

    async def says(self, pattern: str) -> re.Match[str]:
        """Waits for a line that matches."""
        async with asyncio.timeout(PATIENCE), self.changed:
            while not (found := re.search(pattern, self.output)):
                await self.changed.wait()
            return found

    async def address(self) -> str:
        """Where health and metrics are."""
        return (await self.says(r"health and metrics at (http://\S+)"))[1]

    async def get(self, path: str) -> tuple[int, str]:
        """One answer of the health server."""
        async with aiohttp.ClientSession() as session, session.get(await self.address() + path) as answer:
            return answer.status, await answer.text()

    async def ready(self) -> None:
        """Waits until the worker takes work."""
        await self.says("polling")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit status, once there is one."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def a_worker(folder: Path, address: str, settings: str = "", **variables: str) -> AsyncIterator[WorkerProcess]:
    """A worker with its settings in `folder`; killed in the end if it still runs."""
    file = folder / "settings.yaml"
    file.write_text(settings)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HEADGATE_", "TEMPORAL_"))}
    environ = inherited | {
        "PYTHONPATH": str(REPOSITORY),
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_CONFIG_FILE": str(folder / "no-profile.toml"),
        "HEADGATE_HEALTH__BIND": "127.0.0.1:0",
        "HEADGATE_JANITOR__ENABLED": "false",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "--settings", str(file), env=environ, stderr=asyncio.subprocess.PIPE
    )
    worker = WorkerProcess(process)
    reading = asyncio.create_task(worker.read())
    try:
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


class Collector:
    """An OpenTelemetry collector that keeps the names of the spans it gets."""

    def __init__(self) -> None:
        self.spans: set[str] = set()
        self.headers: set[str] = set()

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Its endpoint."""
        app = web.Application()
        app.add_routes([web.post("/v1/traces", self._post)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        content = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
        traces = ExportTraceServiceRequest.FromString(content)
        self.headers.add(request.headers.get("authorization", ""))
        self.spans |= {
            span.name for item in traces.resource_spans for scope in item.scope_spans for span in scope.spans
        }
        return web.Response()


class Webhook:
    """An endpoint that answers when the test says so."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.answer = asyncio.Event()
        self.calls = 0

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Its settings as a channel."""
        app = web.Application()
        app.add_routes([web.post("/", self._post)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            yield f"notifications: {{hook: {{kind: webhook, url: '{url}', timeout: 60}}}}"
        finally:
            self.answer.set()
            await runner.cleanup()

    async def _post(self, _: web.Request) -> web.Response:
        self.calls += 1
        self.called.set()
        await self.answer.wait()
        return web.Response()


@workflow.defn
class Teller:
    """Sends one notification through the worker that polls the queue given."""

    @workflow.run
    async def run(self, queue: str, patience: float) -> None:
        release = ReleaseRef(
            workflow_id="release/test/shop", first_run_id="1", environment="test", name="shop", version="v1"
        )
        await workflow.execute_activity_method(
            NotificationActivities.send,
            Notification(release=release, event="test", title="hello", at=datetime(2026, 1, 1, tzinfo=UTC)),
            task_queue=queue,
            start_to_close_timeout=timedelta(seconds=patience),
        )
