"""Intervals: what they are of, and that a bounded state does not change them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.analysis.evidence.bets import Pair
from workflows.analysis.evidence.intervals import (
    LOG_RATIOS,
    difference_interval,
    log_mean,
    offsets_after,
    ratio_interval,
    share_interval,
)

COUNT = st.integers(0, 60)


def a_ratio_interval(ticks: list[Pair], alpha: float = 0.01) -> tuple[float, float]:
    offsets: tuple[float, ...] = ()
    for tick in ticks:
        offsets = offsets_after(offsets, tick)
    found = ratio_interval(sum(tick.new_bad for tick in ticks), offsets, alpha)
    assert found
    return found.low, math.inf if found.high is None else found.high


def likelihood(ticks: list[Pair], log_ratio: float) -> float:
    return sum(
        t.new_bad * log_ratio
        - (t.new_bad + t.old_bad) * math.log1p(math.expm1(log_ratio) * t.new_total / (t.new_total + t.old_total))
        for t in ticks
    )


def exact(ticks: list[Pair], ratio: float, alpha: float = 0.01) -> float:
    """Positive where the ratio belongs to the interval; by the formula itself."""
    mixed = log_mean([likelihood(ticks, x) for x in LOG_RATIOS])
    return math.log(1 / alpha) - mixed + likelihood(ticks, math.log(ratio))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(COUNT, COUNT), min_size=1, max_size=8), st.sampled_from([30, 100, 3000]))
def test_ends_lie_where_the_formula_puts_them(errors: list[tuple[int, int]], requests: int) -> None:
    ticks = [Pair(e, 60 + requests * (i + 1), s, 1000) for i, (e, s) in enumerate(errors)]
    if not any(map(sum, errors)):
        return
    low, high = a_ratio_interval(ticks)
    if low > 0:
        assert exact(ticks, low / 1.02) < 0 < exact(ticks, low * 1.02)
    if high < math.inf:
        assert exact(ticks, high / 1.02) > 0 > exact(ticks, high * 1.02)


def test_before_any_error_nothing_is_said() -> None:
    assert ratio_interval(0, offsets_after((), Pair(0, 100, 0, 900)), 0.01) is None


def test_one_error_says_little_and_many_say_much() -> None:
    low, high = a_ratio_interval([Pair(1, 100, 0, 900)])
    assert low < 1
    assert high == math.inf
    low, high = a_ratio_interval([Pair(300, 10_000, 900, 90_000)])
    assert 2 < low < 3 < 10 / 3 < high < 4.5


@settings(deadline=None, max_examples=50)
@given(COUNT, st.integers(0, 1000))
def test_share_lies_in_its_interval(bad: int, good: int) -> None:
    total = bad + good
    low, high = share_interval(bad, total, 0.01)
    assert high is not None
    assert 0 <= low <= high <= 1
    if total:
        assert low <= bad / total <= high


@pytest.mark.parametrize(("bad", "total"), [(0, 100), (50, 100), (3, 10_000), (10, 10)])
def test_ends_of_a_share_are_as_unlikely_as_alpha_says(bad: int, total: int) -> None:
    """Against the Beta(1/2, 1/2) mixture, summed over a fine grid instead of by the gamma function."""
    cells = 200_000
    angles = ((k + 0.5) / cells * math.pi / 2 for k in range(cells))
    mixed = sum(math.sin(a) ** (2 * bad) * math.cos(a) ** (2 * (total - bad)) for a in angles) / cells
    found = share_interval(bad, total, 0.01)
    for end in (found.low, found.high):
        if end not in (0, 1):
            assert end
            assert mixed / (end**bad * (1 - end) ** (total - bad)) == pytest.approx(100, rel=1e-3)


@settings(deadline=None, max_examples=50)
@given(COUNT, st.integers(0, 1000), COUNT, st.integers(0, 1000))
def test_difference_lies_in_its_interval(e_c: int, n_c: int, e_s: int, n_s: int) -> None:
    low, high = difference_interval(Pair(e_c, e_c + n_c, e_s, e_s + n_s), 0.01)
    assert high is not None
    assert -1 <= low <= high <= 1
    if e_c + n_c and e_s + n_s:
        assert low <= e_c / (e_c + n_c) - e_s / (e_s + n_s) <= high


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1e30), st.floats(0, 1), st.floats(0, 1e30))
def test_absurd_counts_leave_finite_ends(total: float, share: float, other: float) -> None:
    pair = Pair(total * share, total, other * share, other)
    assert all(map(math.isfinite, (end or 0.0 for end in difference_interval(pair, 0.01))))
    if total > 0 < other:
        found = ratio_interval(pair.new_bad, offsets_after((), pair), 0.01)
        assert found is None or all(math.isfinite(end or 0.0) for end in found)
