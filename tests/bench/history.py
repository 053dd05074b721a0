"""How many events a four-stage canary leaves in Temporal's history, and that samples are none of them.

Both kinds of window pass on Temporal's real server, each with two ticks. For windows of half an hour the world is the
tests' in memory, with an observer whose clock runs faster; for short ones everything is real.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from tests.bench.ground import Ground, Layout
from tests.bench.histories import by_kind, events
from tests.bench.releases import a_release, analysis, end, first, start
from tests.bench.rows import Measured, Row, Say, Sheet
from tests.bench.users import users
from tests.cli.real import a_real_release

LIMIT = 250
LONG, SHORT = "30m", "6s"
RATE = 60
SPEED = 600
"""Seconds of half an hour that pass in one."""
DEPLOYS = 0.5
"""Seconds that a change of instances takes in the world in memory."""


@dataclass(frozen=True)
class Case:
    """One canary: how long its windows are, how often it is sampled, and how large it is."""

    window: str
    tick: str
    replicas: int

    def __str__(self) -> str:
        size = "1 replica" if self.replicas == 1 else f"{self.replicas} replicas"
        return f"{self.window}, a sample every {self.tick}, {size}"


CASES = (
    Case(LONG, "60s", 1),
    Case(LONG, "5s", 1),
    Case(LONG, "60s", 4),
    Case(SHORT, "1s", 1),
    Case(SHORT, "250ms", 1),
    Case(SHORT, "1s", 4),
)

Counted = tuple[Counter[str], Counter[str]]
"""Of the Release and of the Rollout."""


async def measure(say: Say) -> Measured:
    """A row per run, and where the events come from."""
    long = [case for case in CASES if case.window == LONG]
    short = [case for case in CASES if case.window == SHORT]
    async with Ground(Layout(routes=len(short), workers=2), say) as ground, AsyncExitStack() as stack:
        say(f"history, {', '.join(map(str, long))}, in memory")
        found = [await _in_memory(ground.client, case) for case in long]
        for route, case in zip(ground.routes, short, strict=True):
            await first(ground, route, replicas=case.replicas)
            await stack.enter_async_context(users(ground, route, RATE))
        say(f"history, {', '.join(map(str, short))}, everything real")
        found += await asyncio.gather(*(_real(ground, *one) for one in zip(ground.routes, short, strict=True)))
    runs = dict(zip(long + short, found, strict=True))
    return Measured(
        [
            Row(f"history events, four stages of {case}", f"≤ {LIMIT}", [_total(counted)], unit="", limit=LIMIT)
            for case, counted in runs.items()
        ],
        [_breakdown(runs)],
        notes=(
            "Weights 5, 25, 50 and 100 % and a watch as long as a stage, with audit and notifications.",
            "A stage that needs more instances than the last one costs 6 events: none with 1 replica, two with 4.",
            f"Windows of {LONG}: real workflows and planner over the tests' world in memory, {SPEED} times as fast.",
            f"Windows of {SHORT}: processes, Envoy, {RATE} requests a second, a journal of JSON lines.",
        ),
    )


def _strategy(window: str) -> dict[str, Any]:
    stages = [{"weight": weight, "observe": window} for weight in (5, 25, 50, 100)]
    return {"kind": "canary", "stages": stages, "watch": window}


async def _real(ground: Ground, route: str, case: Case) -> Counted:
    document = a_release(route, _strategy(SHORT), analysis=analysis(tick=case.tick, minRequests=0))
    started = await start(ground, document)
    await end(ground, started)
    release = await events(ground.client, started.workflow_id, started.run_id)
    rollout = await events(ground.client, f"rollout/local/bench/process/{route}")
    return by_kind(release), by_kind(rollout)


async def _in_memory(client: Client, case: Case) -> Counted:
    document = a_release("shop", _strategy(LONG), environment="test")
    async with a_real_release(client) as running:
        running.prepare(document)
        world = running.world
        world.speed, world.tick = SPEED, float(case.tick.removesuffix("s")) / SPEED
        for key, place in list(world.places.items()):
            world.add(key, place.slots["stable"].template, case.replicas)
            world.hooks |= {(key, f"workloads.{change}"): _take_time for change in ("deploy", "scale", "retire")}
        handle = await client.start_workflow("Release", document, id="release/test/shop", task_queue=running.queue)
        result = await handle.result()
    if result["outcome"] != "Succeeded":
        raise RuntimeError(f"the release ended {result['outcome']}: {result['message']}")
    release = await events(client, handle.id)
    rollout = await events(client, "rollout/local/default/process/shop")
    return by_kind(release), by_kind(rollout)


async def _take_time(_request: Any) -> None:
    await asyncio.sleep(DEPLOYS)


def _breakdown(runs: dict[Case, Counted]) -> Sheet:
    """Most frequent first; the two workflows in the end."""
    sums = {name: release + rollout for name, (release, rollout) in runs.items()}
    kinds = [kind for kind, _ in next(iter(sums.values())).most_common()]
    kinds += sorted({kind for counted in sums.values() for kind in counted} - set(kinds))
    lines = [[kind, *(str(counted[kind]) for counted in sums.values())] for kind in kinds]
    lines.append(["in Release", *(str(release.total()) for release, _ in runs.values())])
    lines.append(["in Rollout", *(str(rollout.total()) for _, rollout in runs.values())])
    lines.append(["total", *(str(_total(counted)) for counted in runs.values())])
    return Sheet(
        "History events of a four-stage canary, by window / sample / replicas",
        ("events", *(f"{case.window}/{case.tick}/{case.replicas}" for case in runs)),
        lines,
    )


def _total(counted: Counted) -> int:
    release, rollout = counted
    return release.total() + rollout.total()
