"""One metric's class, by the rules of Kayenta's judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.analysis.kayenta.classes import Classified, classify
from workflows.analysis.kayenta.cleaning import cleaned, fences, percentile
from workflows.model.kayenta import CanaryMetric

HIGH, LOW = [20.0, 22.0, 21.0, 25.0, 30.0], [1.0, 2.2, 1.1, 2.5, 3.0]
"""11.8 times as much, and the other way round."""
ZEROS, ABOUT_55 = [0.0] * 5, [54.9, 54.5, 55.1, 55.6, 57.4]
NONE: list[float] = []


def a_canary(**fields: Any) -> CanaryMetric:
    return CanaryMetric.model_validate(fields)


def limits(**effects: Any) -> dict[str, Any]:
    return {"effectSize": effects}


@pytest.mark.parametrize(
    ("new", "old", "fields", "expected"),
    [
        pytest.param(HIGH, LOW, {}, "High", id="higher"),
        pytest.param(LOW, HIGH, {}, "Low", id="lower"),
        pytest.param(HIGH, LOW, {"direction": "decrease"}, "Pass", id="higher is not worse"),
        pytest.param(LOW, HIGH, {"direction": "increase"}, "Pass", id="lower is not worse"),
        pytest.param(HIGH, LOW, {"direction": "increase"}, "High", id="higher is worse"),
        pytest.param(LOW, HIGH, {"direction": "decrease"}, "Low", id="lower is worse"),
        pytest.param(HIGH, LOW, limits(allowedIncrease=11.5), "High", id="more than allowed"),
        pytest.param(HIGH, LOW, limits(allowedIncrease=13), "Pass", id="less than allowed"),
        pytest.param(LOW, HIGH, limits(allowedDecrease=0.05), "Pass", id="lower but not low enough"),
        pytest.param(HIGH, LOW, limits(measure="cles", allowedIncrease=0.8), "High", id="cles of 1"),
        pytest.param(LOW, HIGH, limits(measure="cles", allowedDecrease=0.2), "Low", id="cles of 0"),
        pytest.param([3.0, 1.0, 2.0], [1.0, 2.0, 3.0], {}, "Pass", id="identical"),
        pytest.param([1.0, 1.0], [1.0], {}, "Pass", id="one value in all"),
        pytest.param([10.0] * 5, [1.0] * 5, {}, "High", id="two constants"),
        pytest.param([10.0] * 5, ZEROS, {}, "High", id="a constant against zeros"),
        pytest.param(ABOUT_55, ZEROS, limits(allowedIncrease=1.2), "High", id="no ratio to zeros, so no limit"),
        pytest.param(ZEROS, ABOUT_55, limits(allowedDecrease=0.8), "Low", id="no ratio of zeros, so no limit"),
        pytest.param([0.0, 1.0, 1.0, 1.0, 1.0], [1.0] * 5, {"direction": "decrease"}, "Pass", id="one of five lower"),
        pytest.param([1.0, 1.0, 1.0, 1.0, 10.0], [1.0] * 5, {}, "Pass", id="one of five higher"),
        pytest.param(NONE, LOW, {}, "Nodata", id="no new data"),
        pytest.param(LOW, NONE, {}, "Nodata", id="no old data"),
        pytest.param([None, None], LOW, {}, "Nodata", id="only steps without a value"),
        pytest.param([None] * 5, [5.0, 6.0, 7.0, 5.5, 6.5], {"nanStrategy": "replace"}, "Low", id="steps of 0"),
        pytest.param(NONE, LOW, {"nanStrategy": "replace"}, "Pass", id="no data at all, replaced"),
        pytest.param(NONE, LOW, {"mustHaveData": True}, "NodataFailMetric", id="no data that must be there"),
        pytest.param([1e300, -1e308], [-1e308, 1e308], {}, "Error", id="beyond all numbers"),
        pytest.param([0.0, 4e-227], [1.0, 1.0], {}, "Error", id="tied but for rounding"),
    ],
)  # fmt: skip
def test_metric_is_classified(new: list[Any], old: list[Any], fields: dict[str, Any], expected: str) -> None:
    assert classify(a_canary(**fields), new, old) == (expected, False)


@pytest.mark.parametrize(
    ("new", "fields", "expected"),
    [
        pytest.param(HIGH, {}, Classified("High", is_critical=True), id="usual limit"),
        pytest.param(HIGH, limits(criticalIncrease=1.2), Classified("High", is_critical=True), id="beyond the limit"),
        pytest.param(HIGH, limits(criticalIncrease=13), Classified("High"), id="bad and not critical"),
        pytest.param(HIGH, limits(allowedIncrease=13, criticalIncrease=15), Classified("Pass"), id="allowed"),
        pytest.param(NONE, {}, Classified("Nodata", is_critical=True), id="no data"),
        pytest.param(NONE, {"mustHaveData": True}, Classified("Nodata", is_critical=True), id="no data, required"),
        pytest.param(NONE, {"nanStrategy": "replace"}, Classified("Pass"), id="no data, replaced"),
        pytest.param(LOW, {}, Classified("Pass"), id="good"),
    ],
)  # fmt: skip
def test_critical_metric_fails_all_beyond_its_critical_limit(
    new: list[float], fields: dict[str, Any], expected: Classified
) -> None:
    assert classify(a_canary(critical=True, **fields), new, LOW) == expected


def test_ratio_of_means_says_nothing_of_negative_numbers_as_in_kayenta() -> None:
    new, old = [-3.0] * 5, [-1.0] * 5
    assert classify(a_canary(), new, old).label == "Pass"
    assert classify(a_canary(**limits(measure="cles")), new, old).label == "Low"


def test_difference_of_a_quarter_of_the_shift_is_no_difference() -> None:
    """The interval of this shift begins below a quarter of its estimate: significant, and not enough."""
    old = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert classify(a_canary(), [value + 4 for value in old], old).label == "Pass"
    assert classify(a_canary(), [value + 8 for value in old], old).label == "High"


def test_interval_is_one_of_98_percent() -> None:
    """One of 95 percent would begin at 1, a quarter of the shift, and a little above."""
    old = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert classify(a_canary(), [value + 4 for value in old], old).label == "Pass"
    assert classify(a_canary(), [value + 7 for value in old], old).label == "High"


def test_outliers_are_judged_unless_they_are_removed() -> None:
    samples = [*map(float, range(1, 200)), 1e6, None]
    keep, remove = a_canary(), a_canary(outliers={"strategy": "remove"})
    assert len(cleaned(samples, keep)) == 200
    assert max(cleaned(samples, remove)) == 199


def test_what_lies_within_the_outer_percentiles_is_no_outlier() -> None:
    """With few samples the 99th percentile lies close to the largest one; R's type 7 puts it here."""
    assert percentile([1.0, 2.0, 3.0, 4.0], 25) == 1.75
    assert percentile([1.0, 2.0, 3.0, 4.0], 99) == pytest.approx(3.97)
    assert fences([1.0, 1.0, 1.0, 1.0, 10.0], 3) == pytest.approx((1.0, 9.64))
    assert fences([0.0, 10.0, 10.0, 10.0, 10.0], 3) == pytest.approx((0.4, 10.0))


@settings(deadline=None)
@given(st.lists(st.floats(-1e300, 1e300) | st.none(), max_size=20), st.lists(st.floats(-1e300, 1e300), max_size=20))
def test_any_samples_have_a_class_and_no_two_are_both_higher(new: list[float | None], old: list[float]) -> None:
    labels = [classify(a_canary(), *pair).label for pair in ((new, old), (old, new))]
    assert labels not in (["High", "High"], ["Low", "Low"])
