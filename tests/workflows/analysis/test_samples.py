"""From counts to the one value a rule looks at."""

from __future__ import annotations

import math
from typing import Any

import pytest

from workflows.analysis.samples import Counts, aggregated, counts, quantile, sample
from workflows.model.analysis import Analysis, GaugeMetric, Metric


def a_metric(**fields: Any) -> Metric:
    return Analysis.model_validate({"metrics": [{"name": "m", **fields}]}).metrics[0]


RATIO = a_metric(kind="ratio", source="app", rule={"rollback": "1%"})
HISTOGRAM = a_metric(kind="histogram", source="app", rule={"rollback": "1s"})


def a_histogram(buckets: dict[float, float], total: float) -> Counts:
    return Counts(buckets=buckets, total=total)


@pytest.mark.parametrize(
    ("share", "buckets", "total", "expected"),
    [
        pytest.param(0.5, {0.1: 10, 0.5: 20}, 20, 0.1, id="exactly at an edge"),
        pytest.param(0.95, {0.1: 10, 0.5: 20}, 20, 0.1 + 0.4 * 0.9, id="inside a bucket"),
        pytest.param(0.5, {0.1: 100, 0.5: 100}, 100, 0.05, id="inside the first bucket"),
        pytest.param(0.5, {0.1: 0, 0.5: 100}, 100, 0.3, id="after an empty bucket"),
        pytest.param(0.99, {0.1: 10, 0.5: 20}, 100, math.nextafter(0.5, 1), id="beyond the highest edge"),
        pytest.param(0.5, {0.1: 0}, 0, None, id="no requests"),
        pytest.param(0.5, {}, 10, None, id="no edges"),
    ],
)
def test_quantile(share: float, buckets: dict[float, float], total: float, expected: float | None) -> None:
    assert quantile(share, a_histogram(buckets, total)) == (None if expected is None else pytest.approx(expected))


def test_ratio_without_requests_has_no_value() -> None:
    assert sample(RATIO, Counts(total=0, bad=0)) is None


@pytest.mark.parametrize(
    ("metric", "channels"),
    [
        pytest.param(RATIO, {"total": 5, "bad": 6}, id="more bad than all"),
        pytest.param(HISTOGRAM, {"0.1": 7, "0.5": 6, "+Inf": 9}, id="falling buckets"),
        pytest.param(HISTOGRAM, {"0.1": 7, "+Inf": 6}, id="a bucket above all"),
    ],
)
def test_counts_that_contradict_each_other_are_dropped(metric: Metric, channels: dict[str, float]) -> None:
    assert counts(metric, channels) is None


def test_different_edges_keep_those_that_both_have() -> None:
    joined = a_histogram({0.1: 1, 0.5: 2}, 3).plus(a_histogram({0.5: 4, 1: 5}, 6))
    assert joined == a_histogram({0.5: 6}, 9)


def test_nothing_joined_with_something_is_something() -> None:
    something = a_histogram({0.1: 1, 0.5: 2}, 3)
    assert Counts().plus(something) == something.plus(Counts()) == something


@pytest.mark.parametrize(("how", "expected"), [("max", 7), ("sum", 12), ("avg", 4)])
def test_gauges_become_one(how: str, expected: float) -> None:
    metric = a_metric(kind="gauge", series="q", aggregate=how, rule={"rollback": 1})
    extra = a_metric(kind="ratio", source="app", rule={"rollback": "1%"})
    assert isinstance(metric, GaugeMetric)
    assert extra is not metric
    assert aggregated(metric, [2, 3, 7, math.nan, math.inf]) == expected
    assert aggregated(metric, [math.nan]) is None
