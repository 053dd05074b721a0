"""What the engine itself costs: a release of ten steps without waits, less the time of its provider calls."""

from __future__ import annotations

from tests.bench.ground import Ground, Layout
from tests.bench.histories import Interval, activities, events, lasted, union
from tests.bench.releases import a_release, end, first, start
from tests.bench.rows import Measured, Row, Say

REPEATS = 6
LIMIT = 1.0
_STRATEGY = {"kind": "canary", "stages": [{"weight": 50}, {"weight": 100}], "watch": "0s", "standby": "none"}
_OURS = ("metrics.", "audit.", "notifications.", "planning.")
"""What a release does beside its steps; the time of these counts as the engine's."""


async def measure(say: Say) -> Measured:
    """One row for the engine, one for the providers."""
    say("ten steps without waits")
    async with Ground(Layout(), say) as ground:
        await first(ground, "r0")
        found = [await _release(ground) for _ in range(REPEATS)]
    note = (
        "deploy, wait, check, shift, shift, deploy, wait, shift, shift, retire; from the release's first event to its"
        " last, less the time in which at least one provider call ran"
    )
    return Measured(
        [
            Row.under("ten steps without waits, beyond provider calls", LIMIT, [w - busy for w, busy in found], note),
            Row("… the provider calls themselves", "–", [busy for _, busy in found]),
        ]
    )


async def _release(ground: Ground) -> tuple[float, float]:
    started = await start(ground, a_release("r0", _STRATEGY, drain="0s"))
    await end(ground, started)
    release = await events(ground.client, started.workflow_id, started.run_id)
    rollout = await events(ground.client, "rollout/local/bench/process/r0")
    return lasted(release), union([one for one in activities(rollout) if _is_call(one)])


def _is_call(interval: Interval) -> bool:
    return not interval.name.startswith(_OURS)
