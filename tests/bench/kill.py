"""How much longer a bad version keeps its users when a worker dies while it has some."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from statistics import median

from cli.demo.programs import Program
from cli.demo.weights import Witness
from tests.bench.ground import Ground, Layout, pid_of
from tests.bench.releases import a_release, analysis, end, first, start
from tests.bench.rows import Measured, Row, Say
from tests.bench.users import users

ROUTES = 4
"""Bad releases side by side."""
CALM, KILLED = 2, 2
"""Rounds without and with a kill."""
RATE = 40
STRATEGY = {"kind": "canary", "stages": [{"weight": 20, "observe": "5m"}], "watch": "5m"}
EXPOSED = 1.0
"""Seconds between the moment when all have users and the kill."""


async def measure(say: Say) -> Measured:
    """The exposure without and with a kill, and by how much the second exceeds the usual."""
    async with Ground(Layout(routes=ROUTES, workers=2), say) as ground, AsyncExitStack() as stack:
        await first(ground, *ground.routes)
        for route in ground.routes:
            await stack.enter_async_context(users(ground, route, RATE))
        witnesses = {route: ground.witness(route) for route in ground.routes}
        calm: list[float] = []
        for number in range(CALM):
            say(f"bad releases, nobody killed, {number + 1} of {CALM}")
            calm += [seconds for seconds, _ in await _round(ground, witnesses, kill=False)]
        hit: list[float] = []
        spared: list[float] = []
        for number in range(KILLED):
            say(f"bad releases, a worker killed, {number + 1} of {KILLED}")
            for seconds, was_hit in await _round(ground, witnesses, kill=True):
                (hit if was_hit else spared).append(seconds)
    usual = median(calm)
    return Measured(
        [
            Row(
                "exposure beyond the usual after SIGKILL of the observer's worker",
                "≤ 20 s",
                [seconds - usual for seconds in hit],
                limit=20,
            ),
            Row("… exposure, nobody killed", "–", calm),
            Row("… exposure, the observer's worker killed", "–", hit),
            Row("… exposure, the other worker killed", "–", spared),
        ],
        notes=(
            "A version with 20 % errors has 20 % of the users.",
            "Exposure is from the first weight above 0 % that Envoy used until it used 0 %, by Envoy's own record.",
            f"The worker with most observers dies {EXPOSED:g} s after all {ROUTES} releases have users.",
        ),
    )


async def _round(ground: Ground, witnesses: dict[str, Witness], *, kill: bool) -> list[tuple[float, bool]]:
    """The exposure of each release of one round, and whether its observer was killed."""
    for witness in witnesses.values():
        witness.seen.clear()
    documents = [a_release(route, STRATEGY, analysis=analysis(), env={"ERROR_RATE": "20%"}) for route in ground.routes]
    started = await asyncio.gather(*(start(ground, document) for document in documents))
    hit: set[str] = set()
    victim: Program | None = None
    if kill:
        await asyncio.gather(*(ground.until(route, bool) for route in ground.routes))
        await asyncio.sleep(EXPOSED)
        victim, hit = await _kill(ground)
    await asyncio.gather(*(end(ground, one, "RolledBack") for one in started))
    await asyncio.sleep(1)
    if victim:
        await victim.ended()
        await ground.restart(victim)
    return [(_exposure(witness), route in hit) for route, witness in witnesses.items()]


async def _kill(ground: Ground) -> tuple[Program, set[str]]:
    """Kills the worker with most observers; returns it and the routes whose observers it had."""
    observers = {route: await ground.observer(route) for route in ground.routes}
    (most, _), *_ = Counter(observers.values()).most_common(1)
    victim = next(worker for worker in ground.workers if pid_of(worker) == most)
    victim.kill()
    return victim, {route for route, pid in observers.items() if pid == most}


def _exposure(witness: Witness) -> float:
    begun = next(weights.at for weights in witness.seen if weights.new)
    ended = witness.back_at_zero(begun)
    if ended is None:
        raise RuntimeError("Envoy was not seen to take the users away")
    return ended - begun
