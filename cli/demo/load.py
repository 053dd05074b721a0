"""The demo's users: an open loop of GET requests against one address, every answer written down.

`python -m cli.demo.load http://127.0.0.1:10000/ --rate 200 --record requests.txt`, in a process of its own so that
nothing disturbs it. Requests leave when they are due, however slow the answers are. Plain asyncio protocols instead of
an HTTP client, because the demo shares its cores with what it shows: 200 requests a second cost 3 % of one.

One line per request, in the order of the answers: when it was sent (Unix time), how long it took in milliseconds, what
became of it, and the version that answered. `cli/demo/traffic.py` reads them.

=========== ==============================================================
ok          the service answered
failed      an answer of 500 or more that is none of the following
maintenance the router's maintenance answer, during a recreate
unrouted    the router has no version to send users to yet
lost        no answer: refused, reset, or none within ten seconds
=========== ==============================================================
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

TICK = 0.005
"""Seconds between two looks at what is due."""
PATIENCE = 10.0
"""Seconds after which an answer is not waited for any more."""
IDLE = 5.0
"""Seconds after which an unused connection is closed, well before the server would: whoever sends the next request must
be the one that hangs up."""
FLUSH = 0.1

Report = Callable[[float, str, str], None]
"""Takes when a request was sent, what became of it, and the version that answered."""


class Connection(asyncio.Protocol):
    """One connection, used for one request at a time."""

    def __init__(self, report: Report, release: Callable[[Connection], None]) -> None:
        self.sent = 0.0
        """When the open request was sent; 0 while there is none."""
        self.idle_since = time.monotonic()
        self._report = report
        self._release = release
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream connection always gets.
        self._transport = transport

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes) -> None:
        """Sends a request; the answer is reported."""
        assert self._transport  # noqa: S101 - only open connections are asked.
        self.sent = time.time()
        self._received = b""
        self._transport.write(request)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def give_up(self) -> None:
        """Counts the open request as lost."""
        self._end("lost", "-", stays=False)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or not self.sent:
            return
        status, headers = parse_head(head)
        length = headers.get("content-length", "")
        if not length.isdigit():
            self.give_up()
        elif len(body) >= int(length):
            stays = headers.get("connection", "").lower() != "close"
            self._end(kind_of(status, headers), headers.get("x-version", "-"), stays=stays)

    def connection_lost(self, _: Exception | None) -> None:
        if self.sent:
            self.give_up()

    def _end(self, kind: str, version: str, *, stays: bool) -> None:
        sent, self.sent = self.sent, 0.0
        self._report(sent, kind, version)
        self.idle_since = time.monotonic()
        if stays and self.is_open:
            self._release(self)
        else:
            self.close()


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}


def kind_of(status: int, headers: dict[str, str]) -> str:
    """What an answer means to its user."""
    return headers.get("x-headgate", "failed") if status >= 500 else "ok"


class Users:
    """Sends at a rate until told to stop, then waits for what is open."""

    def __init__(self, url: str, rate: float, record: TextIO) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._request = f"GET {parts.path or '/'} HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode()
        self._rate = rate
        self._record = record
        self._free: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Sends until `stopping` is set."""
        started, sent, flushed = time.monotonic(), 0, 0.0
        while not self.stopping.is_set():
            now = time.monotonic()
            for _ in range(int((now - started) * self._rate) - sent):
                self._send()
                sent += 1
            if now - flushed >= FLUSH:
                self._record.flush()
                self._tend(now)
                flushed = now
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), TICK)
        await self._finish()

    def _send(self) -> None:
        while self._free:
            # The one that has rested longest, so that none gets stale.
            connection = self._free.popleft()
            if connection.is_open:
                connection.ask(self._request)
                return
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        sent = time.time()
        loop = asyncio.get_running_loop()
        try:
            _, connection = await asyncio.wait_for(
                loop.create_connection(lambda: Connection(self._report, self._free.append), self._host, self._port),
                PATIENCE,
            )
        except OSError:
            self._report(sent, "lost", "-")
            return
        self._all.add(connection)
        connection.ask(self._request)
        connection.sent = sent

    def _report(self, sent: float, kind: str, version: str) -> None:
        self._record.write(f"{sent:.6f} {(time.time() - sent) * 1000:.2f} {kind} {version}\n")

    def _tend(self, now: float) -> None:
        """Gives up on late answers and closes what is not needed."""
        for connection in list(self._all):
            if not connection.is_open and not connection.sent:
                self._all.discard(connection)
            elif connection.sent and time.time() - connection.sent > PATIENCE:
                connection.give_up()
        while self._free and now - self._free[0].idle_since > IDLE:
            self._free.popleft().close()

    async def _finish(self) -> None:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and (self._opening or any(c.sent for c in self._all)):  # noqa: ASYNC110 (once)
            await asyncio.sleep(TICK)
        for connection in self._all:
            # What had no time to be answered was neither served nor lost.
            connection.sent = 0.0
            connection.close()
        self._record.flush()


def users_command(url: str, rate: float, record: Path) -> list[str]:
    """The command line that does all this."""
    return [sys.executable, "-m", __name__, url, "--rate", f"{rate:g}", "--record", str(record)]


async def serve(url: str, rate: float, record: Path) -> None:
    """Sends until SIGTERM or SIGINT."""
    with record.open("w", encoding="ascii") as file:
        users = Users(url, rate, file)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, users.stopping.set)
        await users.run()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cli.demo.load", description="Send requests and write down the answers."
    )
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--record", type=Path, required=True, help="the file to write")
    given = parser.parse_args()
    asyncio.run(serve(given.url, given.rate, given.record))


if __name__ == "__main__":
    main()
