"""No bet grows on average while the new version is harmless: exact sums over every outcome of small cases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.analysis.evidence.bets import Pair, Trial, block_bets, compared, corrected, count_bets, limited
from workflows.analysis.evidence.mixture import (
    ERROR_SIZES,
    LATENCY_SIZES,
    LIMIT_SIZES,
    STAKES,
    Form,
    Mixture,
    Start,
    advanced,
    evidence,
)
from workflows.analysis.evidence.parameters import Parameters

ROUNDING = 1 + 1e-9
SHARES = (0.001, 0.02, 0.1, 0.3, 0.5, 0.8)


def binomial(n: int, p: float) -> Sequence[float]:
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def outcomes(new: int, old: int, share: float, ratio: float) -> Iterator[tuple[float, Pair]]:
    """Every pair of error counts with its probability; the new version fails `ratio` times as often."""
    for (a, p), (b, q) in itertools.product(
        enumerate(binomial(new, min(1.0, ratio * share))), enumerate(binomial(old, share))
    ):
        yield p * q, Pair(a, new, b, old)


def a_form(sizes: tuple[float, ...], cluster: float = 1.0) -> Form:
    return Form(sizes, (1 / len(sizes),) * len(sizes), cluster)


def mean(values: Iterator[tuple[float, float]]) -> float:
    return sum(p * value for p, value in values)


@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
@pytest.mark.parametrize("sizes", [ERROR_SIZES, LATENCY_SIZES], ids=["errors", "latency"])
@pytest.mark.parametrize(("new", "old"), [(1, 1), (1, 9), (3, 5), (6, 2), (8, 12)])
def test_comparing_counts_is_fair_at_the_border_and_inside(
    new: int, old: int, sizes: tuple[float, ...], ratio: float
) -> None:
    for share, true in itertools.product(SHARES, (0.5 * ratio, ratio)):
        if true * share > 1:
            continue
        for cluster, j in itertools.product((1.0, 8.0), range(len(sizes))):
            trials = [(p, compared(pair, ratio)) for p, pair in outcomes(new, old, share, true)]
            counts = mean((p, count_bets(t, a_form(sizes, cluster))[j] if t else 1.0) for p, t in trials)
            assert counts <= ROUNDING


def blocks_worst(new: int, old: int, *, share: float, true: float, ratio: float | None) -> float:
    """The largest mean of a block bet against `ratio` when the new version fails `true` times as often."""
    trials = [(p, compared(pair, ratio) if ratio else None) for p, pair in outcomes(new, old, share, true)]
    return max(mean((p, block_bets(t, STAKES)[j] if t else 1.0) for p, t in trials) for j in range(len(STAKES)))


SMALL = [(1, 1), (1, 9), (3, 5), (6, 2), (8, 12)]


@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
@pytest.mark.parametrize(("new", "old"), SMALL)
def test_block_bets_are_fair_for_odds_whatever_the_share(new: int, old: int, ratio: float) -> None:
    for share in SHARES:
        odds = ratio * share / (1 - share)
        assert blocks_worst(new, old, share=share, true=odds / (1 + odds) / share, ratio=ratio) <= ROUNDING


@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0, 5.0])
@pytest.mark.parametrize(("new", "old"), SMALL)
def test_corrected_block_bets_are_fair_for_risks_whatever_the_share(new: int, old: int, ratio: float) -> None:
    safe = corrected(Pair(0, new, 0, old), ratio)
    for share, true in itertools.product((*SHARES, 0.2, 0.199, 0.79), (0.9 * ratio, ratio)):
        if share * true <= 1:
            assert blocks_worst(new, old, share=share, true=true, ratio=safe) <= ROUNDING


def test_plain_block_bets_gain_little_at_the_border_while_errors_are_rare() -> None:
    """Exactly at max_ratio, by about (ratio - 1) x share a tick at most, and less with many requests."""
    assert blocks_worst(8, 12, share=0.001, true=1.25, ratio=1.25) < 1 + 1e-5
    assert blocks_worst(10, 90, share=0.02, true=1.25, ratio=1.25) < 1 + 1.5e-3
    assert blocks_worst(8, 12, share=0.3, true=1.25, ratio=1.25) > 1 + 5e-3


@pytest.mark.parametrize("requests", [1, 4, 15])
@pytest.mark.parametrize("limit", [0.001, 0.01, 0.2, 0.7])
def test_limiting_bets_are_fair(requests: int, limit: float) -> None:
    for share in (limit, 0.4 * limit):
        pairs = [(p, limited(Pair(k, requests, 0, 0), limit)) for k, p in enumerate(binomial(requests, share))]
        for j in range(len(LIMIT_SIZES)):
            assert mean((p, count_bets(t, a_form(LIMIT_SIZES))[j]) for p, t in pairs if t) <= ROUNDING
        for j in range(len(STAKES)):
            assert mean((p, block_bets(t, STAKES)[j]) for p, t in pairs if t) <= ROUNDING


@pytest.mark.parametrize("ratio", [2.0, 3.0])
@pytest.mark.parametrize(("new", "old"), [(1, 1), (2, 8), (5, 5), (8, 12)])
def test_promoting_bets_are_fair_where_the_old_version_rarely_fails(new: int, old: int, ratio: float) -> None:
    form = Parameters(pass_ratio=ratio).promoting
    for share, j in itertools.product((0.001, 0.02, 0.1, 0.2), range(3)):
        trials = [(p, compared(pair, ratio)) for p, pair in outcomes(new, old, share, ratio)]
        assert mean((p, count_bets(t, form)[j] if t else 1.0) for p, t in trials) <= ROUNDING


def test_block_bet_is_fair_whatever_depends_on_what_inside_a_tick() -> None:
    """All errors of the tick hit one version, in its share of the ticks."""
    for share, stake in itertools.product((0.01, 0.1, 0.5), STAKES):
        together = [(share, Trial(50, 50, share)), (1 - share, Trial(0, 50, share))]
        assert mean((p, block_bets(t, [stake])[0]) for p, t in together) <= ROUNDING
        assert mean((p, count_bets(t, a_form((10.0,)))[0]) for p, t in together) > 2


def test_tempering_by_the_size_of_clusters_keeps_count_bets_fair() -> None:
    for share, size in itertools.product((0.01, 0.1, 0.5), ERROR_SIZES):
        groups = [(p, Trial(8 * k, 8 * 5, share)) for k, p in enumerate(binomial(5, share))]
        assert mean((p, count_bets(t, a_form((size,), 8.0))[0]) for p, t in groups) <= ROUNDING


ROBUST = Form((2.0, 10.0), (0.6, 0.4), 2.0, horizon=3)


@pytest.mark.parametrize("form", [ROBUST, Form((5.0,), (1.0,), 1.0, is_robust=False)], ids=["robust", "independent"])
def test_evidence_is_fair_and_rarely_large_over_every_path(form: Form) -> None:
    """Five ticks of one and three requests at 30 % errors: all 8^5 paths, exactly."""
    steps = [(p, pair) for p, pair in outcomes(1, 3, 0.3, 1.0)]
    expected, crossed = 0.0, 0.0
    stack = [(1.0, Mixture(), Start(), 0.0, 0)]
    while stack:
        probability, mixture, start, peak, depth = stack.pop()
        if depth == 5:
            expected += probability * evidence(form, mixture, idle=start.idle)
            crossed += probability * (peak >= 4)
            continue
        for p, pair in steps:
            after = advanced(form, mixture, compared(pair, 1.0), starting=start.share(form))
            later = start.after(form)
            top = max(peak, evidence(form, after, idle=later.idle))
            stack.append((probability * p, after, later, top, depth + 1))
    assert expected <= ROUNDING
    assert 0 < crossed <= 0.25


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 50), st.integers(0, 500), st.integers(0, 50), st.integers(0, 500))
def test_a_tick_multiplies_by_at_most_one_over_the_weight(e_c: int, n_c: int, e_s: int, n_s: int) -> None:
    trial = compared(Pair(e_c, n_c + e_c, e_s, n_s + e_s), 1.25)
    if trial:
        assert max(block_bets(trial, STAKES)) <= (1 + 1e-12) / trial.share


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 50), st.integers(1, 500), st.integers(0, 50), st.integers(1, 500))
def test_more_failures_of_the_new_version_never_lower_a_bet_against_it(e_c: int, n_c: int, e_s: int, n_s: int) -> None:
    pair = Pair(e_c, n_c + e_c + 1, e_s, n_s + e_s)
    form, fewer, more = a_form(ERROR_SIZES), compared(pair, 1.0), compared(pair._replace(new_bad=e_c + 1), 1.0)
    assert more
    before = count_bets(fewer, form) if fewer else [1.0] * 8
    assert all(b >= a * (1 - 1e-9) for a, b in zip(before, count_bets(more, form), strict=True))


def test_nothing_is_bet_without_both_versions_or_without_errors() -> None:
    assert compared(Pair(0, 10, 0, 90), 1.0) is None
    assert compared(Pair(3, 10, 0, 0), 1.0) is None
    assert compared(Pair(0, 0, 5, 90), 1.0) is None
    assert limited(Pair(0, 0, 5, 90), 0.01) is None
    assert limited(Pair(5, 10, 0, 0), 1.0) is None


def test_start_prior_spends_half_at_once_and_the_rest_until_the_horizon() -> None:
    form, start, shares = Form((2.0,), (1.0,), horizon=5), Start(), []
    for _ in range(7):
        shares.append(start.share(form))
        start = start.after(form)
    assert shares == pytest.approx([0.5, 0.125, 0.125, 0.125, 0.125, 0, 0])
    assert start.idle == pytest.approx(0)
