"""What /proc says about processes, how to wait, and how to run a short command.

A process is known by its pid and its start time together, so that a pid that the kernel gave to somebody else is never
taken for ours.
"""

import http.client
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infra.testbed.errors import BedError


@dataclass(frozen=True)
class Process:
    """One process, never another one with the same pid."""

    pid: int
    start_time: int

    def __str__(self) -> str:
        return f"{self.pid} {self.start_time}"

    @classmethod
    def parse(cls, text: str) -> "Process":
        """Read what str() wrote."""
        pid, start_time = text.split()
        return cls(int(pid), int(start_time))

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """Look up who has the pid now; a zombie counts as gone."""
        fields = _stat(pid)
        return None if not fields or fields[0] == "Z" else cls(pid, int(fields[19]))

    @property
    def is_alive(self) -> bool:
        return Process.of(self.pid) == self

    @property
    def child(self) -> "Process | None":
        """Its only child."""
        children = _read(Path(f"/proc/{self.pid}/task/{self.pid}/children")).split()
        return Process.of(int(children[0])) if self.is_alive and children else None

    @property
    def program(self) -> Path | None:
        """The file that it executes."""
        return _link(self.pid, "exe")

    def namespace(self, kind: str) -> str | None:
        """The identity of its namespace, such as `pid:[4026531836]`."""
        link = _link(self.pid, f"ns/{kind}")
        return str(link) if link else None

    @property
    def cpu_seconds(self) -> float:
        fields = _stat(self.pid)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0

    @property
    def resident_bytes(self) -> int:
        pages = _read(Path(f"/proc/{self.pid}/statm")).split()
        return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def everyone() -> Iterator[Process]:
    """Every process that can be seen."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := Process.of(int(entry.name))):
            yield process


def inner_pid(process: Process) -> int | None:
    """The pid that the process has in the innermost pid namespace it belongs to."""
    status = _read(Path(f"/proc/{process.pid}/status"))
    return next((int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")), None)


def polling(what: str, *, limit: float, interval: float = 0.05) -> Iterator[float]:
    """Yield the seconds waited so far until the caller breaks off; raise BedError when the limit is over."""
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < limit:
        yield waited
        time.sleep(interval)
    raise BedError(f"Gave up waiting for {what} after {limit:.0f} s.")


def call(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    text: str | None = None,
) -> str:
    """Run a short command, with the text as its input, and return what it printed."""
    argv = [str(word) for word in command]
    try:
        done = subprocess.run(argv, cwd=cwd, env=environ, input=text or "", capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BedError(f"{argv[0]} is not on PATH. Install it.") from error
    if done.returncode:
        raise BedError(
            f"`{' '.join(argv)}` failed with status {done.returncode}: {last_words(done.stdout + done.stderr)}"
        )
    return done.stdout


def answers(url: str) -> bool:
    """Whether a server of ours says 200; a proxy of the environment is for the world outside."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=2)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def last_words(text: str) -> str:
    """The end of an output, which is where programs say why they stopped."""
    return text.strip()[-800:]


def _stat(pid: int) -> list[str]:
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _link(pid: int, name: str) -> Path | None:
    try:
        return Path(f"/proc/{pid}/{name}").readlink()
    except OSError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
