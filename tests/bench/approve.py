"""From the moment a person agrees until Envoy sends the users that the next stage asks for."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from cli.names import Ref
from tests.bench.ground import Ground, Layout
from tests.bench.releases import a_release, analysis, end, first, start, until
from tests.bench.rows import Measured, Row, Say

REPEATS = 6
LIMIT = 0.5
_STRATEGY = {
    "kind": "canary",
    "stages": [{"weight": 10}, {"weight": 50, "observe": "30m", "approval": "people"}],
    "watch": "30m",
}


async def measure(say: Say) -> Measured:
    """One row: the gate stands between 10 % and 50 %, and no instance is missing for the next stage."""
    say("approve")
    async with Ground(Layout(), say) as ground:
        await first(ground, "r0")
        values = [await _approve(ground) for _ in range(REPEATS)]
    note = "from the call of the client until Envoy's admin endpoint, asked every 5 ms, shows the next weight"
    return Measured([Row.under("approve → weight changed at Envoy", LIMIT, values, note)])


async def _approve(ground: Ground) -> float:
    document = a_release("r0", _STRATEGY, environment="gated", analysis=analysis(patience="1h"))
    started = await start(ground, document)
    await until(ground, started, lambda status: any(gate.state == "open" for gate in status.gates))
    await asyncio.sleep(1)
    moved = asyncio.create_task(ground.until("r0", partial(float.__eq__, 50.0)))
    await asyncio.sleep(0)
    begun = time.perf_counter()
    await ground.headgate.approve(Ref("gated", "r0"), "people", by="ann@example.com")
    seconds = await moved - begun
    await ground.headgate.abort(started.ref, by="ann@example.com")
    await end(ground, started, "Aborted")
    return seconds
