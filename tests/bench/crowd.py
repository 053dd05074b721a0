"""Many releases that observe at the same time.

Each is the first release of a service of one process, in its watch: without a route, because an Envoy takes three
inotify instances for each and Linux gives a user 128, so its own `/metrics` are what is observed. Every tick asks every
process, where Envoy's counters would come with one question for all: the crowd is the dearer of the two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from tests.bench.ground import Ground
from tests.bench.releases import a_release, analysis, start, until

AT_ONCE = 10
"""Releases that are started side by side."""
WATCH = {"kind": "rolling", "watch": "2h"}


async def gather(ground: Ground, names: Iterable[str]) -> None:
    """Brings a release of each name to its watch, where it stays until the ground goes."""
    begun, gate, wanted = time.monotonic(), asyncio.Semaphore(AT_ONCE), list(names)
    await asyncio.gather(*(_member(ground, name, gate) for name in wanted))
    ground.say(f"{len(wanted)} releases more are in their watch, after {time.monotonic() - begun:.0f} s")


async def _member(ground: Ground, name: str, gate: asyncio.Semaphore) -> None:
    async with gate:
        started = await start(ground, a_release(name, WATCH, traffic={"kind": "none"}, analysis=_analysis()))
        await until(ground, started, lambda status: status.phase == "Watching")


def _analysis() -> dict[str, Any]:
    """The default tick of five seconds; that nobody uses these services is no reason to hold them."""
    found = analysis(tick="5s", interval="10s", patience="2h")
    return {**found, "metrics": [{**metric, "source": "app"} for metric in found["metrics"]]}
