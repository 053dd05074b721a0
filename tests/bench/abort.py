"""From the moment a person says abort until Envoy sends nobody to the new version."""

from __future__ import annotations

import asyncio
import time

from cli.snapshot import Started
from tests.bench.crowd import gather
from tests.bench.ground import Ground, Layout
from tests.bench.releases import a_release, analysis, end, first, start
from tests.bench.rows import Measured, Row, Say

REPEATS = 6
CROWD = 100
SLOTS = 50
"""Observer slots of the one worker: half as many as there are observers."""
LIMIT = 1.0


async def measure(say: Say) -> Measured:
    """One row on an idle worker, one while a hundred others observe."""
    say("abort, idle worker")
    async with Ground(Layout(routes=1), say) as ground:
        await first(ground, "r0")
        idle = [await _abort(ground, "r0", await _exposed(ground, "r0")) for _ in range(REPEATS)]
    say(f"abort, {CROWD} others on the same worker, {SLOTS} observer slots")
    async with Ground(Layout(routes=REPEATS, slots={"observers": SLOTS}), say) as ground:
        await first(ground, *ground.routes)
        await gather(ground, (f"c{number}" for number in range(CROWD)))
        started = await asyncio.gather(*(_exposed(ground, route) for route in ground.routes))
        loaded = [await _abort(ground, route, one) for route, one in zip(ground.routes, started, strict=True)]
    return Measured(
        [
            Row.under("abort → 0 % at Envoy, idle worker", LIMIT, idle),
            Row.under(f"abort → 0 % at Envoy, {CROWD} others observing, {SLOTS} observer slots", LIMIT, loaded),
        ],
        notes=(
            "From the client's call until Envoy's admin endpoint, asked every 5 ms, shows 0 % for the new version.",
            "One worker with real processes. The others are first releases in their watch, without a route.",
            f"The {REPEATS} that are aborted are canaries at 50 %, on top; so over half of the observers have no slot.",
        ),
    )


async def _exposed(ground: Ground, route: str) -> Started:
    """A canary in the middle of its observation."""
    strategy = {"kind": "canary", "stages": [{"weight": 50, "observe": "30m"}], "watch": "30m"}
    started = await start(ground, a_release(route, strategy, analysis=analysis(patience="1h")))
    await ground.until(route, lambda share: share == 50)
    await asyncio.sleep(1)
    return started


async def _abort(ground: Ground, route: str, started: Started) -> float:
    gone = asyncio.create_task(ground.until(route, lambda share: share == 0))
    await asyncio.sleep(0)
    begun = time.perf_counter()
    await ground.headgate.abort(started.ref, by="ann@example.com")
    seconds = await gone - begun
    await end(ground, started, "Aborted")
    return seconds
