"""Increments per series: what is counted, what is skipped, and what can never be invented."""

from __future__ import annotations

import math

import pytest

from tests.workflows.analysis.builders import a_unit
from workflows.analysis.counters import Raw, RawUnit, fitted, increase, remembered, starting_from_zero


def a_raw(values: dict[str, float]) -> RawUnit:
    return RawUnit(at=0, slot="canary", counters={"m": {"c": values}})


def grown(before: dict[str, float] | None, after: dict[str, float], *, is_complete: bool = False) -> float:
    unit = a_unit(counters={"m": {"c": after}}, is_complete=is_complete)
    return increase(None if before is None else a_raw(before), unit).counters["m"]["c"]


def test_vector_of_the_specification() -> None:
    assert grown({"a": 100, "b": 50}, {"a": 130, "b": 7, "c": 9}) == 37


@pytest.mark.parametrize(
    ("before", "after", "is_complete", "expected"),
    [
        pytest.param({"a": 5}, {"a": 5}, False, 0, id="nothing happened"),
        pytest.param({"a": 5}, {"a": 3}, False, 3, id="a reset counts from zero"),
        pytest.param({"a": 5, "b": 9}, {"a": 6}, False, 1, id="a vanished series adds nothing"),
        pytest.param({"a": 5}, {"a": 5, "b": 9}, True, 9, id="a series born in a complete answer counts from zero"),
        pytest.param(None, {"a": 9}, True, 0, id="a first-seen process adds nothing"),
        pytest.param({"*": 100}, {"a": 60, "b": 50}, True, 10, id="a sum counts what it grew"),
        pytest.param({"*": 100}, {"a": 6}, True, 0, id="a sum never counts a decrease"),
        pytest.param({"a": -1}, {"a": 900}, True, 0, id="after a value that was no count it starts there"),
    ],
)
def test_increase(before: dict[str, float] | None, after: dict[str, float], is_complete: bool, expected: float) -> None:
    assert grown(before, after, is_complete=is_complete) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e30])
def test_values_that_are_no_counts_break_the_metric_for_this_tick_only(value: float) -> None:
    unit = a_unit(counters={"m": {"c": {"a": value, "b": 9}}, "n": {"c": {"a": 1}}})
    result = increase(a_raw({"a": 5, "b": 5}), unit)
    assert (result.broken, result.dropped) == ({"m"}, 1)
    raw = remembered({unit.id: a_raw({"a": 5, "b": 5})}, [unit], at=1)
    assert raw[unit.id].counters["m"]["c"] == {"a": 5, "b": 9}


def test_series_that_was_away_goes_on_where_it_was() -> None:
    raw: Raw = {"app:canary@a": a_raw({"a": 500})}
    raw = remembered(raw, [a_unit(counters={"m": {"c": {}}})], at=1)
    back = a_unit(counters={"m": {"c": {"a": 510}}})
    assert increase(raw[back.id], back).counters["m"]["c"] == 10


def test_process_that_is_silent_for_long_is_new_when_it_comes_back() -> None:
    assert not remembered({"x": a_raw({"a": 5})}, [], at=901)


@pytest.mark.parametrize(("started", "expected"), [(101.0, 9), (99.0, 0), (None, 0), (math.nan, 0), (math.inf, 0)])
def test_first_seen_process_counts_from_zero_only_when_it_started_since(started: float | None, expected: float) -> None:
    unit = a_unit(counters={"m": {"c": {"a": 9}}}, started=started)
    assert increase(starting_from_zero(unit, since=100), unit).counters["m"]["c"] == expected


def test_state_that_fits_is_kept_whole() -> None:
    raw: Raw = {"x": a_raw({"a": 1})}
    assert fitted(raw, limit=1000) == raw


def test_state_that_is_too_large_becomes_sums_per_process() -> None:
    raw: Raw = {"x": a_raw({f"series-{i}": 2.0 for i in range(100)} | {"broken": -1})}
    assert fitted(raw, limit=500)["x"].counters == {"m": {"c": {"*": 200}}}


def test_processes_that_do_not_fit_even_so_are_left_out() -> None:
    raw: Raw = {f"process-{i:04}": a_raw({"a": 1}) for i in range(100)}
    small = fitted(raw, limit=500)
    assert 0 < len(small) < 10
