"""What holds for any input: finite numbers, small states, and one outcome however the ticks are split."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.analysis.builders import a_segment, a_unit, an_analysis, ratio
from workflows.analysis.batches import Batch, Missing
from workflows.analysis.session import SessionState, Step, begin, evidence, restored, step
from workflows.model.analysis import Analysis

ANYTHING = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 2**70).map(float)
COUNTS = st.integers(0, 1000)


def an_analysis_of_everything() -> Analysis:
    rules: list[dict[str, Any]] = [
        {"interval": "5s", "rollback": "5%", "failureLimit": 2},
        {
            "like": "argo",
            "interval": "5s",
            "success": "1%",
            "rollback": "5%",
            "failureLimit": 2,
            "inconclusiveLimit": 1,
        },
        {"like": "flagger", "interval": "10s", "rollback": "5%", "threshold": 3},
    ]
    ratios = [ratio(rule.get("like", "simple"), **rule) for rule in rules]
    histogram = {
        "name": "latency",
        "kind": "histogram",
        "source": "app",
        "rule": {"interval": "5s", "rollback": "500ms", "failureLimit": 5},
    }
    gauge = {
        "name": "queue",
        "kind": "gauge",
        "series": "q",
        "aggregate": "sum",
        "rule": {"interval": "5s", "rollback": 1e300, "failureLimit": 5},
    }
    return an_analysis(*ratios, histogram, gauge, patience="30s")


ANALYSIS = an_analysis_of_everything()
SEGMENT = a_segment(need=60)


def a_batch(at: float, values: list[float]) -> Batch:
    total, bad, fast, gauge = values
    channels = {"total": {"x": total}, "bad": {"x": bad}}
    counters: dict[str, Any] = dict.fromkeys(("simple", "argo", "flagger"), channels)
    counters["latency"] = {"0.1": {"x": fast}, "0.5": {"x": fast}, "1.0": {"x": total}, "+Inf": {"x": total}}
    return Batch(at, (a_unit(counters=counters, gauges={"queue": (gauge,)}),))


def is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e12), st.lists(ANYTHING, min_size=4, max_size=4), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_any_input_leaves_finite_numbers_and_a_decision(ticks: list[tuple[float, list[float], bool]]) -> None:
    state = begin(SessionState(), SEGMENT)
    for at, values, is_down in ticks:
        batch = Batch(at, (), (Missing("app", "canary", "down"),)) if is_down else a_batch(at, values)
        result = step(ANALYSIS, SEGMENT, state, batch)
        state = result.state
        assert result.decision.verdict in {"continue", "pass", "hold", "rollback"}
        assert is_finite(evidence(state).metrics)
        assert is_finite([report.model_dump() for report in result.reports])
        assert len(json.dumps(evidence(state).metrics, allow_nan=False)) < 8 * 1024


REAL = st.lists(
    st.tuples(COUNTS, st.integers(0, 20), st.sampled_from([5.0, 5.0, 5.0, 10.0, 300.0]), st.booleans()),
    min_size=1,
    max_size=30,
)


def run(ticks: list[tuple[int, int, float, bool]], cuts: set[int], *, segments: bool) -> list[Step]:
    """Feeds the ticks; at each cut the state travels as JSON, to a later attempt or to the next segment."""
    segment, state, steps = SEGMENT, begin(SessionState(), SEGMENT), []
    at, total, bad = 0.0, 0.0, 0.0
    for i, (requests, failed, seconds, is_down) in enumerate(ticks):
        if i in cuts:
            carried = type(evidence(state)).model_validate_json(evidence(state).model_dump_json())
            if segments:
                segment = a_segment(segment.number + 1, need=60)
            state = begin(restored(carried), segment)
        at, total, bad = at + seconds, total + requests, bad + min(failed, requests)
        down = Batch(at, (), (Missing("app", "canary", "down"),))
        batch = down if is_down and i % 3 == 0 else a_batch(at, [total, bad, total - bad, 5.0])
        steps.append(step(ANALYSIS, segment, state, batch))
        state = steps[-1].state
    return steps


@settings(deadline=None, max_examples=50)
@given(REAL, st.sets(st.integers(0, 30)))
def test_later_attempts_lead_to_the_same_state_to_the_last_bit(
    ticks: list[tuple[int, int, float, bool]], cuts: set[int]
) -> None:
    whole, split = run(ticks, set(), segments=False), run(ticks, cuts, segments=False)
    assert [s.decision for s in whole] == [s.decision for s in split]
    assert whole[-1].state == split[-1].state
    assert whole[-1].reports == split[-1].reports


@settings(deadline=None, max_examples=50)
@given(REAL, st.sets(st.integers(0, 30)))
def test_any_split_into_segments_leaves_the_same_evidence(
    ticks: list[tuple[int, int, float, bool]], cuts: set[int]
) -> None:
    whole, split = run(ticks, set(), segments=False), run(ticks, cuts, segments=True)
    rules = [{name: m.modes for name, m in s[-1].state.metrics.items()} for s in (whole, split)]
    assert rules[0] == rules[1]
    assert whole[-1].state.raw == split[-1].state.raw


@settings(deadline=None, max_examples=50)
@given(REAL)
def test_missing_data_alone_never_rolls_back_or_passes(ticks: list[tuple[int, int, float, bool]]) -> None:
    state = begin(SessionState(), SEGMENT)
    at = 0.0
    for requests, _, seconds, is_down in ticks:
        at += seconds
        down = Batch(at, (), (Missing("app", "canary", "down"),))
        batch = down if is_down else a_batch(at, [0.0, 0.0, 0.0, math.nan if requests % 2 else math.inf])
        result = step(ANALYSIS, SEGMENT, state, batch)
        state = result.state
        assert result.decision.verdict in {"continue", "hold"}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(COUNTS, st.floats(0, 3600)), min_size=1, max_size=40))
def test_good_version_is_never_rolled_back(ticks: list[tuple[int, float]]) -> None:
    state = begin(SessionState(), SEGMENT)
    at = total = 0.0
    for requests, seconds in ticks:
        at, total = at + seconds, total + requests
        result = step(ANALYSIS, SEGMENT, state, a_batch(at, [total, 0.0, total, 1.0]))
        state = result.state
        assert result.decision.verdict != "rollback"
