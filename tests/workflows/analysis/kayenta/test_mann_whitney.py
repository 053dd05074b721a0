"""The shift between two samples: R's and Kayenta's own answers, and what holds for any samples."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workflows.analysis.kayenta.brent import TOLERANCE, zero
from workflows.analysis.kayenta.mann_whitney import common_language_effect, mean_ratio, shift

VALUES = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=25)


def spread(counts: dict[float, int]) -> list[float]:
    return [value for value, count in counts.items() for _ in range(count)]


# fmt: off
HALVES = (
    spread({1.5: 9, 2.0: 16, 2.5: 22, 3.0: 17, 3.5: 9, 4.0: 5, 4.5: 1, 5.0: 3, 5.5: 1, 6.0: 2, 6.5: 2, 7.0: 1, 7.5: 1,
            16.5: 1}),
    spread({1.5: 2, 2.0: 16, 2.5: 18, 3.0: 16, 3.5: 10, 4.0: 8, 4.5: 4, 5.0: 6, 5.5: 2, 6.0: 5, 8.0: 1, 15.5: 1,
            54.5: 1}),
)
"""Many ties, 90 against 90."""

MOSTLY_ZEROS = (
    [100 / n for n in (60, 27, 64, 30, 57, 54, 54, 66, 56, 75, 32, 51, 69, 41, 61, 62, 51, 63, 35.5, 33, 29.5, 81, 58,
                       59, 68, 73, 31, 57, 29, 30, 55, 70, 53, 50, 33.5, 60, 64, 52, 54, 37, 74, 55, 60, 55, 70)]
    + [0.0] * 140,
    [100 / n for n in (64, 72, 65, 67, 59, 68, 57, 54, 61, 58, 63, 67, 32, 67, 33.5, 40, 56)] + [0.0] * 193,
)
# fmt: on


def test_r_gives_the_same_interval_where_many_values_are_tied() -> None:
    found = shift(*HALVES, confidence=0.95)
    assert found[:2] == pytest.approx((-0.500002521696696, -3.486287505871302e-5), abs=1e-12)
    assert found.estimate == pytest.approx(-0.4999393907180323, abs=TOLERANCE)


def test_most_steps_without_a_failure_leave_a_shift_of_nothing_to_speak_of() -> None:
    assert all(abs(end) < TOLERANCE for end in shift(*MOSTLY_ZEROS))


def test_samples_that_are_apart_are_shifted_by_their_distance() -> None:
    low, high, estimate = shift([20.0, 22.0, 21.0, 25.0, 30.0], [1.0, 2.2, 1.1, 2.5, 3.0])
    assert 17 <= low <= estimate <= high <= 29
    assert estimate == pytest.approx(20, abs=0.5)


def test_few_samples_leave_the_interval_at_the_largest_shift_there_can_be() -> None:
    assert shift([3.0, 4.0], [1.0, 1.5])[:2] == (1.5, 3.0)


def test_two_constants_are_apart_by_their_difference_for_certain() -> None:
    assert shift([10.0] * 5, [1.0] * 4) == (9.0, 9.0, 9.0)
    with pytest.raises(ValueError, match="tied"):
        shift([1.0], [1.0, 1.0])


@settings(deadline=None)
@given(VALUES, VALUES)
def test_interval_holds_its_estimate_and_no_shift_beyond_the_values(x: list[float], y: list[float]) -> None:
    assume(len({*x}) > 1 or len({*y}) > 1)
    low, high, estimate = shift(x, y)
    assert min(x) - max(y) <= low <= estimate + TOLERANCE
    assert estimate - TOLERANCE <= high <= max(x) - min(y)


@settings(deadline=None)
@given(VALUES, VALUES, st.integers(-1000, 1000))
def test_whoever_moves_the_new_samples_moves_the_interval(x: list[float], y: list[float], by: int) -> None:
    assume(len({*x}) > 1 or len({*y}) > 1)
    moved = shift([value + by for value in x], y)
    assert moved == pytest.approx([end + by for end in shift(x, y)], abs=2 * TOLERANCE)


@settings(deadline=None)
@given(VALUES, VALUES, st.randoms(use_true_random=False))
def test_order_of_samples_changes_nothing(x: list[float], y: list[float], random: object) -> None:
    assume(len({*x}) > 1 or len({*y}) > 1)
    assert shift(sorted(x), sorted(y, reverse=True)) == shift(x, y)


@settings(deadline=None)
@given(VALUES, VALUES)
def test_effects_are_what_they_say(x: list[float], y: list[float]) -> None:
    wins = sum((a > b) + (a == b) / 2 for a, b in product(x, y))
    assert common_language_effect(x, y) == pytest.approx(wins / len(x) / len(y))
    ratio = mean_ratio(x, y)
    assert ratio is None if not sum(x) or not sum(y) else ratio == pytest.approx(sum(x) / len(x) / (sum(y) / len(y)))


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e3))
def test_zero_is_found_within_the_tolerance(root: float, slope: float) -> None:
    def curve(at: float) -> float:
        return math.copysign(slope * abs(at - root) ** 0.5, root - at)

    assert zero(curve, root - 1234.5, root + 77.7) == pytest.approx(root, abs=TOLERANCE + abs(root) * 1e-15)
    assert zero(lambda at: -curve(at), root - 3.0, root + 77.7) == pytest.approx(
        root, abs=TOLERANCE + abs(root) * 1e-15
    )


def test_zero_at_an_end_is_that_end() -> None:
    assert zero(lambda at: at, 0.0, 1.0) == 0.0
    assert zero(lambda at: at - 1, 0.0, 1.0) == 1.0
