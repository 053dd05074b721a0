"""Start, find and stop processes that outlive the worker.

Everything here blocks. A process is named by pid and kernel start time, so that a reused pid is never mistaken for
it, and carries its token in its environment, so that a worker that died between starting and recording it starts
nothing twice.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workflows.errors import Unavailable

TOKEN = "HEADGATE_INSTANCE"  # noqa: S105 - the name of a variable that identifies an instance, no secret.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""All that an instance gets of the worker's environment: a worker holds credentials that releases must not see."""
LOG_LIMIT = 8 * 1024 * 1024

_ESTABLISHED = "01"


@dataclass(frozen=True)
class Process:
    """One process for ever."""

    pid: int
    born: int


@dataclass(frozen=True)
class Launch:
    """Everything a new process gets."""

    command: tuple[str, ...]
    directory: Path
    env: Mapping[str, str]
    log: Path
    token: str


def launch(wanted: Launch) -> Process:
    """Starts a process in a session of its own, with no file of ours open. Errors: OSError when it cannot run."""
    env = {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(wanted.env)
    wanted.log.parent.mkdir(parents=True, exist_ok=True)
    with wanted.log.open("wb"), wanted.log.open("ab") as log:
        child = subprocess.Popen(
            wanted.command,
            cwd=wanted.directory,
            env=env | {TOKEN: wanted.token},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children.add(child)
    return Process(child.pid, _born(child.pid))


def find(tokens: Iterable[str]) -> dict[str, Process]:
    """The running processes that carry one of the tokens, whoever started them."""
    wanted = {f"{TOKEN}={token}".encode(): token for token in tokens}
    found: dict[str, Process] = {}
    if not wanted:
        return found
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            variables = set((entry / "environ").read_bytes().split(b"\0"))
            pid = int(entry.name)
            # A program's own children inherit the token; only the one we started leads the session.
            if (match := wanted.keys() & variables) and os.getsid(pid) == pid and (born := _born(pid)):
                found[wanted[match.pop()]] = Process(pid, born)
    return found


def is_alive(process: Process) -> bool:
    """Whether it still runs; a process that ended and was not reaped yet does not."""
    return process.born != 0 and _born(process.pid) == process.born


def stop(process: Process, *, kill: bool = False) -> None:
    """Asks a process to end, or ends it with everything it started."""
    if not is_alive(process):
        return
    with suppress(ProcessLookupError, PermissionError):
        if kill:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGTERM)


def sweep(token: str) -> None:
    """Ends whatever an instance started and left behind."""
    marker = f"{TOKEN}={token}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if marker in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)


def exit_status(pid: int) -> int | None:
    """How a process of this worker ended; None when another worker had started it."""
    return _children.status(pid)


def connected_ports() -> set[int]:
    """Local ports with at least one established connection."""
    ports: set[int] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError), Path(table).open(encoding="ascii") as rows:
            next(rows, None)
            fields = (row.split(None, 4) for row in rows)
            ports.update(int(local.rpartition(":")[2], 16) for _, local, _, state, _ in fields if state == _ESTABLISHED)
    return ports


def free_port(host: str, allowed: tuple[int, int], *, taken: set[int]) -> int:
    """A port nobody listens on now. Another process may still be faster: then the instance fails and gets a new one."""
    choices = [port for port in range(allowed[0], allowed[1] + 1) if port not in taken]
    random.shuffle(choices)
    for port in choices[:200]:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return port
    raise Unavailable(f"no free port on {host} between {allowed[0]} and {allowed[1]}", retry_after=1)


def last_words(log: Path) -> str:
    """The last line a process wrote, cut to a sentence."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return ""
    return lines[-1][:200] if lines else ""


def bound_log(log: Path) -> None:
    """Empties a log that has grown too large; the process appends, so it goes on at the start."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            os.truncate(log, 0)


def _born(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = stat[stat.rindex(b")") + 2 :].split()
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


class _Children:
    """Reaps what this worker started, by a thread that lives while there is something to reap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._ended: dict[int, int] = {}
        self._thread: threading.Thread | None = None

    def add(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running[child.pid] = child
            if self._thread is None:
                self._thread = threading.Thread(target=self._reap, name="headgate-reaper", daemon=True)
                self._thread.start()

    def status(self, pid: int) -> int | None:
        with self._lock:
            self._poll()
            return self._ended.get(pid)

    def _reap(self) -> None:
        while True:
            time.sleep(0.2)
            with self._lock:
                self._poll()
                if not self._running:
                    self._thread = None
                    return

    def _poll(self) -> None:
        for pid, child in list(self._running.items()):
            if child.poll() is not None:
                del self._running[pid]
                self._ended.pop(pid, None)
                self._ended[pid] = child.returncode
        while len(self._ended) > 1000:
            del self._ended[next(iter(self._ended))]


_children = _Children()
