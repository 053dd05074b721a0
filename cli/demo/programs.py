"""Child processes of the demo: started with a log, told to stop, and never left behind.

Every process that belongs to a demo, the instances of the released service included, carries the demo's directory in
its environment; that is how the sweeper finds what nobody stopped.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cli.demo.sweeper import MARK
from workflows.errors import HeadgateError

_PORTS = range(12000, 20000)
"""Below those of instances, and below those that the system takes for outgoing connections."""


class DemoError(HeadgateError):
    """The demo cannot go on; the message ends with what the program that failed said last."""


class Program:
    """One child process with its log."""

    def __init__(
        self, name: str, command: Sequence[str], *, directory: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = directory / "logs" / f"{name}.log"
        self._command = command
        self._env = {**surroundings(), **(env or {}), MARK: str(directory)}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it in a session of its own, so that Ctrl-C reaches the demo alone. Errors: DemoError."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    env=self._env,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                raise DemoError(f"{self.name} cannot be started: {error}") from error

    def kill(self) -> int:
        """Ends it with SIGKILL and returns the pid it had."""
        assert self._process  # noqa: S101 - only what was started is killed.
        with suppress(ProcessLookupError):
            self._process.kill()
        return self._process.pid

    async def ended(self) -> None:
        """Waits until it has ended."""
        if self._process:
            await self._process.wait()

    async def stop(self, patience: float = 5) -> None:
        """Asks it to end, and ends it after `patience` seconds."""
        if not self._process or not self.is_running:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), patience)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        with suppress(OSError):
            return self.log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
        return ""

    def failure(self, what: str) -> DemoError:
        """The error for a program that does not do what it should."""
        return DemoError(f"{self.name} {what}. It said last:\n{self.last_words() or '(nothing)'}")


def surroundings() -> dict[str, str]:
    """The environment without what configures another Temporal or another worker."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "HEADGATE_"))}


def python(module: str, *arguments: str) -> list[str]:
    """The command line of a module of ours, run by this interpreter."""
    return [sys.executable, "-m", module, *arguments]


class Ports:
    """Free ports of this machine, each given once."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def take(self, wanted: int | None = None) -> int:
        """The wanted port, or any. Errors: DemoError when it is taken."""
        choices = [wanted] if wanted else random.sample(_PORTS, 200)
        for port in choices:
            if port not in self._given and _is_free(port):
                self._given.add(port)
                return port
        raise DemoError(f"port {wanted} is in use; give another one" if wanted else "no free port was found")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
