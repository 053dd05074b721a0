"""What holds for any input: finite numbers, small states, and one outcome however a run is cut into pieces."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.analysis.evidence.builders import PARAMETERS, Judge, a_histogram, a_metric, flattened
from workflows.analysis.evidence.edges import MOST
from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Tick

EDGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METRICS = (
    a_metric(name="errors", slo="1%"),
    a_metric(name="latency", kind="histogram", slo={"max": "500ms", "quantile": "99%"}),
)
STATE_LIMIT = 4 * 1024

NUMBER = st.integers(0, 2**63).map(float) | st.integers(0, 50).map(float) | st.floats(0, 2.0**63)


@st.composite
def arms(draw: st.DrawFn) -> Counts:
    """One version's counts, possible or not, of any size."""
    total = draw(NUMBER)
    buckets = sorted(min(draw(NUMBER), total) for _ in EDGES)
    return Counts(total=total, bad=draw(NUMBER), buckets=dict(zip(EDGES, buckets, strict=True)))


@st.composite
def ticks(draw: st.DrawFn) -> Tick:
    """Any tick at all."""
    return Tick(
        draw(st.floats(0, 1e9)),
        draw(arms()),
        draw(arms()),
        is_gap=draw(st.booleans()),
        error=draw(st.sampled_from(["", "", "", "down"])),
        baseline_error=draw(st.sampled_from(["", "", "", "down"])),
        is_shifted=draw(st.booleans()),
        stage=draw(st.integers(0, 3)),
    )


@st.composite
def real_ticks(draw: st.DrawFn) -> Tick:
    """A tick as services make them."""
    new, old = (draw(st.integers(0, size)) for size in (200, 900))
    return Tick(
        5.0,
        an_arm(new, draw(st.integers(0, 5))),
        an_arm(old, draw(st.integers(0, 5))),
        is_gap=draw(st.integers(0, 20)) == 0,
        error="down" if draw(st.integers(0, 10)) == 0 else "",
        stage=draw(st.integers(0, 1)),
    )


def an_arm(total: int, bad: int) -> Counts:
    slower = {edge: float(total // 2 >> i) for i, edge in enumerate(EDGES)}
    return a_histogram(slower, total).model_copy(update={"bad": float(min(bad, total))})


@pytest.mark.parametrize("dependence", ["robust", "independent"])
@settings(deadline=None, max_examples=60)
@given(seen=st.lists(ticks(), min_size=1, max_size=12))
def test_any_input_leaves_finite_numbers(dependence: Any, seen: list[Tick]) -> None:
    judge = Judge(METRICS, replace(PARAMETERS, dependence=dependence)).see(*seen)
    assert all(map(math.isfinite, flattened(judge.modes)))
    assert all(map(math.isfinite, flattened(judge.weighed.model_dump())))
    assert math.isfinite(judge.log_e)
    assert judge.decision.verdict in {"continue", "pass", "rollback"}
    json.dumps([report.model_dump(mode="json") for report in judge.reports], allow_nan=False)


@settings(deadline=None, max_examples=25)
@given(st.lists(real_ticks(), min_size=1, max_size=40), st.sets(st.integers(0, 40)))
def test_any_cut_leaves_the_same_evidence_to_the_last_bit(seen: list[Tick], cuts: set[int]) -> None:
    whole, split = Judge(METRICS).see(*seen), Judge(METRICS)
    for i, tick in enumerate(seen):
        if i in cuts:
            split = Judge(
                METRICS,
                modes=json.loads(json.dumps(split.modes)),
                weighed=type(split.weighed).model_validate_json(split.weighed.model_dump_json()),
            )
        split.see(tick)
    assert split.modes == whole.modes
    assert split.weighed == whole.weighed
    assert split.decision == whole.decision


@settings(deadline=None, max_examples=25)
@given(st.lists(real_ticks(), min_size=1, max_size=30), st.integers(2, 20))
def test_more_traffic_of_a_version_that_never_fails_is_no_evidence(seen: list[Tick], factor: int) -> None:
    judge = Judge((METRICS[0],))
    for tick in seen:
        judge.see(replace(tick, new=Counts(total=tick.new.total * factor)))
    assert judge.overall.weighed.peak <= 1e-9


@settings(deadline=None, max_examples=25)
@given(st.lists(real_ticks(), min_size=1, max_size=30))
def test_missing_answers_alone_are_no_evidence(seen: list[Tick]) -> None:
    judge = Judge(METRICS)
    for tick in seen:
        judge.see(replace(tick, error="down"))
    assert (judge.log_e, judge.decision.verdict) == (0, "continue")


@settings(deadline=None, max_examples=25)
@given(st.lists(real_ticks(), min_size=1, max_size=20), st.floats(0.1, 1e3))
def test_how_long_a_tick_took_is_no_evidence(seen: list[Tick], seconds: float) -> None:
    one, other = Judge(METRICS), Judge(METRICS)
    one.see(*seen)
    other.see(*[replace(tick, seconds=seconds) for tick in seen])
    assert one.log_e == other.log_e


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_state_stays_small_however_long_a_release_takes(metric: Any) -> None:
    judge = Judge((metric,)).see(Tick(5.0, Counts(), an_arm(9001, 3)))
    sizes = []
    for i in range(1, 1500):
        judge.see(Tick(5.0, an_arm(103 + i % 7, i % 3), an_arm(907 + i % 11, i % 4)))
        if i % 50 == 0:
            sizes.append(len(json.dumps(judge.modes[metric.name], separators=(",", ":"))))
            judge.see(Tick(5.0, an_arm(103, 1), an_arm(907, 2), error="down"))
            sizes.append(len(json.dumps(judge.modes[metric.name], separators=(",", ":"))))
    assert max(sizes) <= STATE_LIMIT, max(sizes)
    if metric.kind == "histogram":
        assert len(judge.modes[metric.name]["compare"]["channels"]) == MOST
