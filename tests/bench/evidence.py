"""What evidence is worth: false rollbacks per release, time to detection and requests that fail until then, and cost.

Simulated from a fixed seed, in as many processes as there are cores; nothing here is a live service.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import median, quantiles

from tests.bench.rows import Measured, Row, Say, Sheet
from tests.workflows.analysis.evidence import simulation
from tests.workflows.analysis.evidence.builders import PARAMETERS, Judge, a_histogram, a_metric
from tests.workflows.analysis.evidence.simulation import EDGES, Finding, Scenario, tail
from workflows.analysis.evidence import comparison, objective
from workflows.analysis.evidence.judging import judging
from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Tick

RUNS = 2_000
NULL_RUNS = 10_000
CHUNK = 50
BUDGET = 100.0
"""Microseconds per tick and metric."""
ROOM = 4 * 1024
"""Bytes of JSON per metric."""


async def measure(say: Say) -> Measured:
    """Rows for what the specification asks for, and a sheet with the rest."""
    with ProcessPoolExecutor(os.cpu_count(), initializer=os.nice, initargs=(19,)) as pool:
        harmless = [_false_alarms(pool, name, say) for name in simulation.HARMLESS]
        clustered = _share(_releases(pool, "clustered", RUNS // 2))
        faults = {name: _releases(pool, f"fault/{name}", RUNS // 4) for name in simulation.FAULTS}
        say("early promotion")
        early = [found.passed for found in _releases(pool, "healthy", RUNS // 4)]
        wrong = _releases(pool, "falsePass", RUNS)
    say("cost")
    costs, sizes = _costs()
    passing = [each if each is not None else float("inf") for each in early]
    rows = [
        *harmless,
        Row("… repeated failures, independent form", "> 2,000: the test bites", [clustered], ""),
        *(_detection(name, found) for name, found in faults.items()),
        Row("early promotion of a healthy version, median", "–", [median(passing)]),
        Row(
            "early promotion of what fails 3 times as often, in 10,000",
            "<= 500",
            [1e4 * sum(found.passed is not None for found in wrong) / len(wrong)],
            "",
            limit=500,
        ),
        *costs,
        *sizes,
    ]
    lines = [_line(name, found) for name, found in faults.items()]
    columns = ("fault", "found", "10 %", "median", "90 %", "failed requests of the new version, mean")
    sheet = Sheet("Seconds to rollback at 100 requests/s, weight 10 %, stable at 0.1 %", columns, lines)
    note = "Simulated: Poisson requests, binomial split and errors, log-normal latency, ticks of 10 s unless said."
    return Measured(rows, [sheet], [note])


def releases_of(name: str, first: int, count: int) -> list[Finding]:
    """Some releases of a scenario; what a process of the pool is asked for."""
    scenario = _scenario(name)
    return [scenario.release(run) for run in range(first, first + count)]


def _scenario(name: str) -> Scenario:
    kind, _, which = name.partition("/")
    if kind == "harmless":
        return simulation.HARMLESS[which]
    if kind == "fault":
        return simulation.FAULTS[which][0]
    others = {
        "clustered": simulation.CLUSTERED,
        "healthy": simulation.HEALTHY_PASS,
        "falsePass": simulation.FALSE_PASS,
    }
    return others[kind]


def _releases(pool: ProcessPoolExecutor, name: str, runs: int) -> list[Finding]:
    asked = [pool.submit(releases_of, name, first, min(CHUNK, runs - first)) for first in range(0, runs, CHUNK)]
    return [found for answer in asked for found in answer.result()]


def _false_alarms(pool: ProcessPoolExecutor, name: str, say: Say) -> Row:
    runs = NULL_RUNS if name == "nothing changed" else RUNS
    say(f"{runs:,} releases: {name}")
    found = _share(_releases(pool, f"harmless/{name}", runs))
    note = f"{runs:,} releases of 30 minutes, 180 looks each"
    return Row(f"rolled back in 10,000: {name}", "<= 100", [found], "", limit=100, note=note)


def _share(found: Sequence[Finding]) -> float:
    return 1e4 * sum(each.rolled_back is not None for each in found) / len(found)


def _detection(name: str, found: Sequence[Finding]) -> Row:
    limit = simulation.FAULTS[name][1]
    target = "–" if limit is None else f"<= {limit:g} s"
    return Row(f"rollback, median: {name}", target, [median(_times(found))], limit=limit)


def _times(found: Sequence[Finding]) -> list[float]:
    return [float("inf") if each.rolled_back is None else each.rolled_back for each in found]


def _line(name: str, found: Sequence[Finding]) -> tuple[str, ...]:
    times = _times(found)
    tenths = quantiles(times, n=10)
    share = sum(time < float("inf") for time in times) / len(times)
    failed = sum(each.failed for each in found) / len(found)
    seconds = (f"{time:.0f} s" for time in (tenths[0], median(times), tenths[-1]))
    return (name, f"{share:.1%}", *seconds, f"{failed:.1f}")


def _costs() -> tuple[list[Row], list[Row]]:
    """The least of many tries, of every mode that a metric can ask for together."""
    metrics = (
        a_metric(slo="1%"),
        a_metric(name="latency", kind="histogram", slo={"max": "500ms", "quantile": "99%"}),
    )
    costs, sizes = [], []
    for metric in metrics:
        judge = Judge((metric,)).see(Tick(5.0, Counts(), _arm(9000)))
        for i in range(300):
            judge.see(Tick(5.0, _arm(100 + i % 7), _arm(900 + i % 11)))
        states, tick = judge.modes[metric.name], Tick(5.0, _arm(103), _arm(907))
        ((_, compare, slo),) = judge.parts
        assert compare
        assert slo
        core = _least(lambda: comparison.advance(PARAMETERS, metric, compare, tick))  # noqa: B023 - called at once.
        core += _least(lambda: objective.advance(PARAMETERS, metric, slo, tick))  # noqa: B023
        whole = sum(
            _least(lambda: one(metric, states[mode], tick))  # noqa: B023
            for mode, one in judging(PARAMETERS).items()
        )
        costs.append(Row(f"one tick of {metric.name}, compare and slo", "<= 100 µs", [core], "µs", limit=BUDGET))
        costs.append(Row("… with reading and writing the state as JSON, and the report", "–", [whole], "µs"))
        size = float(len(json.dumps(states, separators=(",", ":"))))
        sizes.append(Row(f"state of {metric.name}, compare and slo", "<= 4 KiB", [size], "bytes", limit=ROOM))
    return costs, sizes


def _arm(total: int) -> Counts:
    slower = {edge: float(round(total * tail(edge))) for edge in EDGES}
    return a_histogram(slower, total).model_copy(update={"bad": float(total // 300)})


def _least(call: Callable[[], object]) -> float:
    tries = []
    for _ in range(300):
        begun = time.perf_counter()
        for _ in range(10):
            call()
        tries.append((time.perf_counter() - begun) / 10 * 1e6)
    return min(tries)
