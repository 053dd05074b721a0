"""What processes use of the machine, by Linux's own accounts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Use:
    """Over a span of time."""

    cores: float
    """Cores kept busy on average."""
    megabytes: float
    """Resident memory in the end."""


async def over(seconds: float, pids: Mapping[str, int]) -> dict[str, Use]:
    """Watches processes for a while."""
    before, begun = {name: _busy(pid) for name, pid in pids.items()}, time.monotonic()
    await asyncio.sleep(seconds)
    passed = time.monotonic() - begun
    return {name: Use((_busy(pid) - before[name]) / passed, _memory(pid)) for name, pid in pids.items()}


def _busy(pid: int) -> float:
    """Seconds of processor time so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _memory(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
