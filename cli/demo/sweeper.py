"""Removes what a demo leaves behind, however the demo ended: `python -m cli.demo.sweeper DIRECTORY`.

It waits until its standard input closes, which happens when the demo says so and just as surely when it is killed.
Then it ends every process that carries the directory in its environment and removes the directory. It imports little,
because it lives beside every demo.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "DEMO_DIRECTORY"
"""The variable that every process of a demo has; no `HEADGATE_*` one, because a worker takes those for settings."""
GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""
LIMIT = 20.0


def sweep(directory: str) -> None:
    """Ends the marked processes; those that a worker starts meanwhile are found in the next round."""
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < LIMIT:
        found = list(marked(directory))
        if not found:
            return
        for descriptor in found:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(descriptor, signal.SIGTERM if elapsed < GRACE else signal.SIGKILL)
            os.close(descriptor)
        time.sleep(0.1)


def marked(directory: str) -> Iterator[int]:
    """File descriptors of the running processes with this mark: a descriptor can't come to mean another process."""
    wanted = f"{MARK}={directory}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            descriptor = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        if _has(entry / "environ", wanted):
            yield descriptor
        else:
            os.close(descriptor)


def _has(environ: Path, variable: bytes) -> bool:
    try:
        return variable in environ.read_bytes().split(b"\0")
    except OSError:
        return False


def main() -> None:
    """Waits for the end of the demo, then sweeps."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    (directory,) = sys.argv[1:]
    sys.stdin.buffer.read()
    sweep(directory)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
