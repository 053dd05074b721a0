"""Requests of users that fail from the first fault until nobody is sent to the new version, with real traffic.

Evidence as documents have it by default, and rules that count as Argo Rollouts and Flagger do, tuned as tightly as
they go; each on a route of its own with its own users, at the same time. And what must not be rolled back: good
versions, and an incident behind both.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from cli.demo.scenarios import is_error
from cli.demo.traffic import Record
from cli.demo.weights import Witness
from tests.bench.ground import Ground, Layout
from tests.bench.releases import a_release, end, first, start
from tests.bench.rows import Measured, Row, Say, Sheet
from tests.bench.users import SETTLED, users

RATE = 200
REPEATS = 10
GOOD = 20
INCIDENTS = 10
FAULTS = {"5%": 12.0, "20%": 12.0}
"""With the median of failed requests that evidence may cost."""
INCIDENT_SECONDS = 15.0
ENTERED = 180.0
"""Seconds until the first stage after the entry has begun."""


def _errors(**modes: Any) -> dict[str, Any]:
    return {"metrics": [{"name": "errors", "kind": "ratio", "source": "envoy", **modes}]}


PRESETS: dict[str, dict[str, Any]] = {
    "evidence": {"tick": "2s", "minRequests": 100, **_errors(compare={}, slo={"max": "1%"})},
    "argo": _errors(rule={"like": "argo", "rollback": "1%", "interval": "10s", "failureLimit": 0}),
    "flagger": _errors(rule={"like": "flagger", "rollback": "1%", "interval": "10s", "threshold": 1}),
}
ROUTES = {name: f"r{number}" for number, name in enumerate(PRESETS)}
STAGES = [{"weight": weight, "observe": "12s"} for weight in (10, 50, 100)]
STRATEGY = {"kind": "canary", "stages": STAGES, "watch": "4s"}


class Lane(NamedTuple):
    """One route with its users."""

    route: str
    record: Record
    witness: Witness


class Found(NamedTuple):
    """What a bad version cost."""

    failed: float
    seconds: float


async def measure(say: Say) -> Measured:
    """Rows for evidence, and a sheet that has the presets beside it."""
    async with Ground(Layout(routes=len(ROUTES), workers=2), say) as ground:
        switch = ground.directory / "incident"
        env = {"INCIDENT": str(switch)}
        await first(ground, *ROUTES.values(), replicas=2, env=env)
        async with (
            users(ground, "r0", RATE) as one,
            users(ground, "r1", RATE) as two,
            users(ground, "r2", RATE) as three,
        ):
            routes = zip(ROUTES.values(), (one, two, three), strict=True)
            lanes = [Lane(route, record, ground.witness(route)) for route, record in routes]
            found = {fault: await _bad(ground, lanes, fault, say) for fault in FAULTS}
            say(f"{GOOD} good versions, judged by evidence")
            good = await _repeated(GOOD, lambda some: _good(ground, some, env), lanes, say)
            say(f"{INCIDENTS} incidents behind both versions")
            hit = await _repeated(INCIDENTS, lambda some: _good(ground, some, env, incident=switch), lanes, say)
    rows = [
        *(_row(fault, found[fault]["evidence"]) for fault in FAULTS),
        Row("good versions rolled back", f"0 of {GOOD}", [_rolled_back(good)], "", limit=0),
        Row("rolled back for an incident behind both", f"0 of {INCIDENTS}", [_rolled_back(hit)], "", limit=0),
    ]
    lines = [(name, fault, *_line(results)) for fault, by in found.items() for name, results in by.items()]
    columns = ("judged by", "failing", "failed requests, median", "of", "first failure → 0 %, median", "largest")
    note = f"{RATE} requests/s a route, three at once; 10 % first, with evidence after a soft entry of 1, 2, 5 %."
    return Measured(rows, [Sheet("Requests that fail until a bad version is gone", columns, lines)], [note])


async def _bad(ground: Ground, lanes: list[Lane], fault: str, say: Say) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {name: [] for name in PRESETS}
    for number in range(REPEATS):
        say(f"a version of which {fault} fail, {number + 1} of {REPEATS}")
        results = await asyncio.gather(
            *(_fault(ground, lane, PRESETS[name], fault) for lane, name in zip(lanes, PRESETS, strict=True))
        )
        for name, result in zip(PRESETS, results, strict=True):
            found[name].append(result)
        say(", ".join(f"{name} {result.failed:g} failed" for name, result in zip(PRESETS, results, strict=True)))
    return found


async def _fault(ground: Ground, lane: Lane, analysis: dict[str, Any], fault: str) -> Found:
    document = a_release(lane.route, STRATEGY, analysis=analysis, env={"ERROR_RATE": fault})
    version = document["spec"]["version"]
    tally = lane.record.begin(lambda request: request.version == version and is_error(request))
    started = await start(ground, document)
    await end(ground, started, "RolledBack")
    await asyncio.sleep(SETTLED)
    lane.record.read()
    gone = lane.witness.back_at_zero(tally.first_bad) if tally.first_bad else None
    return Found(tally.bad_failures, gone - tally.first_bad if gone and tally.first_bad else 0.0)


async def _repeated(
    times: int, play: Callable[[list[Lane]], Awaitable[list[str]]], lanes: list[Lane], say: Say
) -> list[str]:
    """How so many releases end, on all lanes at once."""
    outcomes: list[str] = []
    while len(outcomes) < times:
        outcomes += await play(lanes[: times - len(outcomes)])
        say(f"{len(outcomes)} of {times}: {dict(Counter(outcomes))}")
    return outcomes


async def _entered(ground: Ground, lane: Lane) -> None:
    await ground.until(lane.route, lambda share: share >= 10, patience=ENTERED)


async def _good(ground: Ground, lanes: list[Lane], env: dict[str, str], *, incident: Path | None = None) -> list[str]:
    """How releases of good versions end; an incident begins at their first stage after the entry."""
    documents = [a_release(lane.route, STRATEGY, analysis=PRESETS["evidence"], env=env) for lane in lanes]
    started = [await start(ground, document) for document in documents]
    if incident:
        await asyncio.gather(*(_entered(ground, lane) for lane in lanes))
        await asyncio.to_thread(incident.write_text, "5%")
        await asyncio.sleep(INCIDENT_SECONDS)
        await asyncio.to_thread(incident.unlink)
    endings = await asyncio.gather(*(ground.headgate.wait(one.ref, run_id=one.run_id) for one in started))
    return [ending.outcome for ending in endings]


def _rolled_back(outcomes: list[str]) -> float:
    return float(sum(outcome != "Succeeded" for outcome in outcomes))


def _row(fault: str, found: list[Found]) -> Row:
    what = f"failed requests until a version of which {fault} fail is gone, median of {len(found)}"
    return Row(what, "about 10", [median(each.failed for each in found)], "", limit=FAULTS[fault])


def _line(found: list[Found]) -> tuple[str, ...]:
    failed, seconds = [each.failed for each in found], [each.seconds for each in found]
    return f"{median(failed):g}", str(len(found)), f"{median(seconds):.1f} s", f"{max(failed):g}"
