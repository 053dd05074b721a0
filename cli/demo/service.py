"""The service that the demo releases: `python -m cli.demo.service`.

Good, failing, slow or broken as its environment says.

Plain asyncio instead of a web framework: a demo starts dozens of these on a laptop, and each is up in a twentieth of a
second. It knows nothing of Headgate and imports nothing of it.

=============== ================================================ =========
variable        what it does                                      default
=============== ================================================ =========
PORT            where it listens                                  required
VERSION         what it says it is                                dev
READY_DELAY     seconds until `/ready` answers 200                0
ERROR_RATE      share of answers that are 500                     0%
LATENCY         added to a share of the answers                   0ms
SLOW_RATE       that share                                        100%
CRASH           seconds after which it ends with status 1, or
                `start`: at once                                  never
NEVER_READY     `/ready` always answers 503                       unset
INCIDENT        a file: while it is there, the share of answers
                that it names is 500; one for all versions is
                what stands behind them all                       unset
QUEUE_DEPTH     the gauge `queue_depth`                           0
DRAIN           seconds that open requests may take after SIGTERM 10
=============== ================================================ =========
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}


class Behaviour(NamedTuple):
    """How the service misbehaves."""

    version: str
    ready_delay: float
    never_ready: bool
    error_rate: float
    latency: float
    slow_rate: float
    queue_depth: float
    incident: Path | None

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Behaviour:
        """Reads the environment; a value that makes no sense ends the program with a sentence."""
        return cls(
            version=env.get("VERSION", "dev"),
            ready_delay=seconds(env.get("READY_DELAY", "0")),
            never_ready="NEVER_READY" in env,
            error_rate=share(env.get("ERROR_RATE", "0%")),
            latency=seconds(env.get("LATENCY", "0ms")),
            slow_rate=share(env.get("SLOW_RATE", "100%")),
            queue_depth=float(env.get("QUEUE_DEPTH", "0")),
            incident=Path(env["INCIDENT"]) if env.get("INCIDENT") else None,
        )

    @property
    def failing(self) -> float:
        """The share of answers that are errors now."""
        try:
            return max(self.error_rate, share(self.incident.read_text())) if self.incident else self.error_rate
        except OSError:
            return self.error_rate


def share(text: str) -> float:
    """`5%` as 0.05."""
    if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)%", text.strip())):
        sys.exit(f"{text!r} is not a share; write it like 5%")
    return float(match[1]) / 100


def seconds(text: str) -> float:
    """`300ms`, `2s` or `2` as seconds."""
    if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)?", text.strip())):
        sys.exit(f"{text!r} is not a duration; write it like 300ms or 2s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


class Metrics:
    """Requests as Prometheus counts them."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._created = time.time()
        self._requests: Counter[int] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def count(self, status: int, duration: float) -> None:
        """Adds one answered request."""
        self._requests[status] += 1
        self._sum += duration
        self._buckets[next((i for i, bound in enumerate(BUCKETS) if duration <= bound), len(BUCKETS))] += 1

    def text(self) -> str:
        """The exposition, with the time of creation that tells a restart from a reset."""
        version = f'version="{self._behaviour.version}"'
        lines = ["# TYPE http_requests_total counter"]
        codes = sorted(self._requests.keys() | {200, 500})
        lines += [f'http_requests_total{{code="{code}",{version}}} {self._requests[code]}' for code in codes]
        lines += ["# TYPE http_requests_created gauge", f"http_requests_created{{{version}}} {self._created:.3f}"]
        lines.append("# TYPE http_request_duration_seconds histogram")
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'http_request_duration_seconds_bucket{{le="{bound}",{version}}} {total}')
        lines.append(f"http_request_duration_seconds_sum{{{version}}} {self._sum:.6f}")
        lines.append(f"http_request_duration_seconds_count{{{version}}} {total}")
        lines += ["# TYPE queue_depth gauge", f"queue_depth{{{version}}} {self._behaviour.queue_depth:g}"]
        lines += ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {self._created:.3f}"]
        return "\n".join(lines) + "\n"


class Service:
    """Answers requests until it is told to stop, and then finishes those it has."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._metrics = Metrics(behaviour)
        self._ready_at = time.monotonic() + behaviour.ready_delay
        self._stopping = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()

    async def run(self, port: int, drain: float) -> None:
        """Serves until SIGTERM or SIGINT, then stops accepting and waits for open requests."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=512)
        print(f"{self._behaviour.version} listens on {port}", flush=True)
        await self._stopping.wait()
        server.close()
        if self._busy:
            await asyncio.wait(self._busy, timeout=drain)
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; whether the connection stays open for another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        task = asyncio.current_task()
        assert task  # noqa: S101 - a coroutine that runs has a task.
        self._busy.add(task)
        try:
            lines = head.split("\r\n")
            path = lines[0].split(" ")[1].partition("?")[0]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            if length := int(headers.get("content-length", "0")):
                await reader.readexactly(length)
            status, kind, body = await self._answer(path)
            stays = headers.get("connection", "").lower() != "close" and not self._stopping.is_set()
            head = (
                f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
                f"x-version: {self._behaviour.version}\r\nconnection: {'keep-alive' if stays else 'close'}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
            return stays
        finally:
            self._busy.discard(task)

    async def _answer(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4", self._metrics.text().encode()
        if path == "/health":
            return 200, "text/plain", b"ok\n"
        if path == "/ready":
            return (200, "text/plain", b"ready\n") if self._is_ready() else (503, "text/plain", b"not ready\n")
        return await self._user()

    def _is_ready(self) -> bool:
        return not self._behaviour.never_ready and time.monotonic() >= self._ready_at

    async def _user(self) -> tuple[int, str, bytes]:
        started = time.monotonic()
        if self._behaviour.latency and random.random() < self._behaviour.slow_rate:  # noqa: S311 - no secret.
            await asyncio.sleep(self._behaviour.latency)
        status = 500 if random.random() < self._behaviour.failing else 200  # noqa: S311 - no secret.
        self._metrics.count(status, time.monotonic() - started)
        body = {"version": self._behaviour.version, "pid": os.getpid()} | ({"error": "demo"} if status == 500 else {})
        return status, "application/json", json.dumps(body).encode() + b"\n"


async def crash(after: float) -> None:
    """Ends the program as a bug would."""
    await asyncio.sleep(after)
    print("fatal: the demo was told to crash", file=sys.stderr, flush=True)
    os._exit(1)


async def serve(env: Mapping[str, str]) -> None:
    """Runs the service that an environment describes."""
    if env.get("CRASH") == "start":
        await crash(0)
    crashing = asyncio.create_task(crash(seconds(env["CRASH"]))) if env.get("CRASH") else None
    await Service(Behaviour.of(env)).run(int(env["PORT"]), seconds(env.get("DRAIN", "10")))
    if crashing:
        crashing.cancel()


if __name__ == "__main__":
    if not os.environ.get("PORT", "").isdigit():
        sys.exit("PORT must be set to a port number")
    asyncio.run(serve(os.environ))
