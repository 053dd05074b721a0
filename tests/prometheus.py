"""A real Prometheus that scrapes services of a test: pods with names and labels, which come, go and misbehave."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from cli.tools import Toolbox
from tests.activities.world import free_ports

NAMESPACE = "prod"
_EDGES = (0.1, 0.5, 2.5)


@dataclass
class Service:
    """One instance whose requests are counted by the clock: nothing depends on when it is scraped."""

    pod: str
    rate: float = 50
    bad: float = 0.0
    """The share of requests that fail."""
    slow: float = 0.01
    """The share that takes two seconds."""
    labels: dict[str, str] = field(default_factory=dict)
    """More labels of its targets."""
    address: str = ""
    status: int = 200
    is_nonsense: bool = False
    tags: str = ""
    """More labels of its series."""

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Everything is counted from zero."""
        self._counted = [0.0, 0.0, 0.0]
        self._last = time.monotonic()

    def change(self, **fields: float) -> None:
        """From now on it serves otherwise."""
        self._count()
        for name, value in fields.items():
            setattr(self, name, value)

    async def answer(self, request: web.Request) -> web.Response:
        self._count()
        return web.Response(text=self._page(), status=self.status)

    def _count(self) -> None:
        now = time.monotonic()
        requests, self._last = (now - self._last) * self.rate, now
        grown = (requests, requests * self.bad, requests * self.slow)
        self._counted = [a + b for a, b in zip(self._counted, grown, strict=True)]

    def _page(self) -> str:
        total, bad, slow = (math.nan if self.is_nonsense else float(math.floor(each)) for each in self._counted)
        lines = [f'http_requests_total{{code="200"{self.tags}}} {total - bad}']
        lines += [f'http_requests_total{{code="503"{self.tags}}} {bad}'] if bad else []
        name = "http_request_duration_seconds_bucket"
        edges = [*((edge, total if edge > 2 else total - slow) for edge in _EDGES), ("+Inf", total)]
        lines += [f'{name}{{le="{edge}"{self.tags}}} {count}' for edge, count in edges]
        lines += [f"queue_depth{{}} {total % 7}"]
        return "\n".join(lines) + "\n"


class Served(Protocol):
    """What can be scraped."""

    pod: str
    labels: dict[str, str]
    address: str

    async def answer(self, request: web.Request) -> web.Response: ...


class Prometheus:
    """The server, and what it scrapes."""

    def __init__(self, folder: Path, *, interval: str = "1s") -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.interval = interval
        self.services: dict[str, Served] = {}
        self._runners: dict[str, web.AppRunner] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts, or starts again with what it stored."""
        discovery = {"files": [str(self.folder / "targets.json")], "refresh_interval": "1s"}
        job = {"job_name": "pods", "file_sd_configs": [discovery]}
        settings = {
            "global": {"scrape_interval": self.interval, "scrape_timeout": self.interval},
            "scrape_configs": [job],
        }
        (self.folder / "prometheus.json").write_text(json.dumps(settings))
        self._write()
        self._process = await asyncio.create_subprocess_exec(
            str(Toolbox().prometheus().path),
            f"--config.file={self.folder / 'prometheus.json'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--log.level=error",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with aiohttp.ClientSession() as session, asyncio.timeout(120):
            while not await _answers(session, f"{self.url}/-/ready"):  # noqa: ASYNC110 - it sends no events.
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def add(self, *services: Served) -> None:
        """Serves them and scrapes them."""
        for service in services:
            app = web.Application()
            app.router.add_get("/metrics", service.answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            service.address = f"127.0.0.1:{runner.addresses[0][1]}"
            self.services[service.pod], self._runners[service.pod] = service, runner
        self._write()

    async def remove(self, pod: str) -> None:
        """The pod ends, and a moment later nobody scrapes it."""
        await self._runners.pop(pod).cleanup()
        del self.services[pod]
        self._write()

    async def close(self) -> None:
        await self.stop()
        for runner in self._runners.values():
            await runner.cleanup()

    async def query(self, promql: str) -> list[Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/query", params={"query": promql}) as answer,
        ):
            return list((await answer.json())["data"]["result"])

    async def scraped(self, promql: str, *, seconds: float = 90) -> None:
        """Waits until a query has an answer."""
        async with asyncio.timeout(seconds):
            while not await self.query(promql):  # noqa: ASYNC110 - it sends no events.
                await asyncio.sleep(0.1)

    def _write(self) -> None:
        targets = [
            {"targets": [each.address], "labels": {"namespace": NAMESPACE, "pod": each.pod, **each.labels}}
            for each in self.services.values()
        ]
        file = self.folder / "targets.json"
        file.with_suffix(".new").write_text(json.dumps(targets))
        file.with_suffix(".new").replace(file)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@asynccontextmanager
async def a_prometheus(folder: Path, *services: Served, interval: str = "1s") -> AsyncIterator[Prometheus]:
    """A server that has scraped each of the services."""
    async with AsyncExitStack() as stack:
        server = Prometheus(folder, interval=interval)
        stack.push_async_callback(server.close)
        await server.add(*services)
        await server.start()
        if services:
            await server.scraped(f"count(up == 1) == {len(services)}")
        yield server


def stable(name: str = "trip", count: int = 5) -> tuple[str, ...]:
    """Names of pods as Kubernetes makes them."""
    return tuple(f"{name}-6d4cf56db6-{letter}bcdf" for letter in "bcdfghjkl"[:count])


def canary(name: str = "trip", count: int = 5) -> tuple[str, ...]:
    """Those of the new version."""
    return tuple(f"{name}-canary-7f9c5b8d4-{letter}bcdf" for letter in "bcdfghjkl"[:count])
