"""From classes to one score, by Kayenta's rules, those included where it fails open."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.analysis.kayenta.classes import Classified
from workflows.analysis.kayenta.scores import Scored, score
from workflows.model.kayenta import CanaryMetric


def scored(*metrics: Any, **weights: float) -> Scored:
    """Of metrics as label, groups and, where it is, whether that is critical."""
    judged: dict[str, Any] = {
        f"m{i}": (CanaryMetric(groups=tuple(groups.split())), Classified(label, *critical))
        for i, (label, groups, *critical) in enumerate(metrics)
    }
    return score(judged, weights)


@pytest.mark.parametrize(
    ("metrics", "weights", "expected"),
    [
        pytest.param([("Pass", "a")], {}, 100, id="a pass"),
        pytest.param([("High", "a")], {}, 0, id="a failure"),
        pytest.param([("Pass", "a"), ("High", "a")], {}, 50, id="one of two"),
        pytest.param([("Pass", "a"), ("High", "a"), ("Low", "a")], {}, 33.33, id="one of three, rounded"),
        pytest.param([("Pass", "a"), ("Pass", "a"), ("High", "b")], {"a": 75, "b": 25}, 75, id="weights"),
        pytest.param([("Pass", "a"), ("High", "a"), ("High", "b")], {"a": 50, "b": 50}, 25, id="half of a half"),
        pytest.param([("High", "a"), ("Low", "a"), ("Pass", "a"), ("High", "b")], {"a": 15, "b": 85}, 5, id="15 : 85"),
        pytest.param([("Pass", "a"), ("High", "b"), ("High", "c")], {"a": 60}, 60, id="others share the rest"),
        pytest.param([("Pass", "a b"), ("High", "b")], {}, 75, id="a metric in two groups"),
        pytest.param([("Pass", "a"), ("NodataFailMetric", "a")], {}, 50, id="missing data that must be there"),
        pytest.param([("Pass", "a"), ("Pass", "a"), ("Nodata", "b")], {}, 100, id="a group without data fails open"),
        pytest.param([("Pass", "a"), ("Error", "a")], {}, 100, id="an error is in no denominator"),
        pytest.param([("High", "a"), ("Error", "b")], {}, 50, id="a group of errors fails open"),
        pytest.param([("Pass", "a"), ("Nodata", "a")], {}, 0, id="half without data"),
        pytest.param([("Pass", "a"), ("Pass", "a"), ("Nodata", "a")], {}, 100, id="a third without data"),
        pytest.param([("Pass", "a"), ("Pass", "a"), ("High", "a", True)], {}, 0, id="a critical failure"),
        pytest.param([("Pass", "a"), ("Pass", "a"), ("Nodata", "a", True)], {}, 0, id="critical without data"),
        pytest.param([("Low", "a"), ("Pass", "a", True)], {}, 50, id="critical and good"),
    ],
)
def test_score_is_kayentas(metrics: list[Any], weights: dict[str, float], expected: float) -> None:
    assert scored(*metrics, **weights).score == expected


def test_group_without_data_is_told_apart_from_a_full_one() -> None:
    assert scored(("Pass", "a"), ("Pass", "a"), ("Nodata", "b")).groups == {"a": 100.0, "b": None}


def test_score_of_nothing_says_why() -> None:
    assert scored(("Pass", "a"), ("High", "a", True)).reason == "m1 is critical and High"
    assert scored(("Nodata", "a"), ("Pass", "a")).reason == "1 of 2 metrics have no data"


LABELS = st.sampled_from(["Pass", "High", "Low", "Nodata", "NodataFailMetric", "Error"])
METRICS = st.lists(st.tuples(LABELS, st.sampled_from(["a", "b", "a b", "c"])), min_size=1, max_size=20)


@settings(deadline=None)
@given(METRICS, st.dictionaries(st.sampled_from("abc"), st.floats(0, 33), max_size=3))
def test_score_lies_from_0_to_100_and_a_failure_more_never_raises_it(
    metrics: list[Any], weights: dict[str, float]
) -> None:
    before = scored(*metrics, **weights).score
    assert 0 <= before <= 100
    worse = [("High", groups) if label == "Pass" else (label, groups) for label, groups in metrics]
    assert scored(*worse, **weights).score <= before
