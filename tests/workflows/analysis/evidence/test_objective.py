"""The absolute mode: what both versions share is nobody's fault, and what only the new one does is found."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.analysis.evidence.builders import Four, Judge, a_histogram, a_metric
from workflows.analysis import reasons
from workflows.analysis.evidence.limits import WINDOW, is_incident, limit_of, poisson_tail
from workflows.analysis.evidence.objective import SloState, max_share
from workflows.analysis.ticks import Tick

SLO_ONLY = (a_metric(compare=None, slo="1%"),)
CALM: Four = (0, 100, 1, 900)


def a_judge() -> Judge:
    return Judge(SLO_ONLY)


def state(judge: Judge) -> SloState:
    found = judge.parts[0].slo
    assert found
    return found


def poisson_quantile(mean: float, share: float) -> int:
    total, k = math.exp(-mean), 0
    while total < share:
        k += 1
        total += math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))
    return k


@settings(deadline=None, max_examples=50)
@given(st.floats(0.01, 400), st.integers(0, 600))
def test_gate_opens_strictly_above_the_quantile(mean: float, failed: int) -> None:
    assert is_incident(failed, mean / 0.01, 0.01) == (failed > poisson_quantile(mean, 0.999))


@pytest.mark.parametrize(("failed", "expected"), [(1097, False), (1098, True)])
def test_large_means_use_the_normal_quantile(failed: int, expected: bool) -> None:
    assert is_incident(failed, 100_000, 0.01) == expected


@pytest.mark.parametrize(("count", "mean", "expected"), [(0, 3, 1), (5, 0, 0), (1, 1e-9, 1e-9), (1e6, 3, 0)])
def test_tails_at_their_ends(count: float, mean: float, expected: float) -> None:
    assert poisson_tail(count, mean) == pytest.approx(expected)


def test_limit_follows_the_old_version_upwards_only() -> None:
    assert limit_of(0.01, []) == 0.01
    assert limit_of(0.01, [(0, 0)]) == 0.01
    assert limit_of(0.01, [(1, 1000)] * WINDOW) == 0.01
    assert limit_of(0.01, [(0, 500), (20, 500)]) == pytest.approx(0.025)


def test_shared_incident_is_never_held_against_the_new_version() -> None:
    judge = a_judge().count(CALM, times=30).count((5, 100, 45, 900), times=60).count(CALM, times=30)
    assert judge.acted is None
    assert judge.log_e < 0
    assert state(judge).incidents > 0


def test_first_tick_of_an_incident_is_skipped_and_counted() -> None:
    before = a_judge().count(CALM, times=5)
    log_e = before.log_e
    assert before.count((5, 100, 45, 900)).log_e == log_e
    assert state(before).incidents == 1


def test_failure_of_the_new_version_alone_is_found() -> None:
    assert a_judge().count((5, 100, 1, 900), times=20).acted is not None


def test_without_an_old_version_only_the_limit_counts() -> None:
    assert a_judge().count((5, 100, 0, 0), times=20).acted is not None
    assert a_judge().count((0, 100, 0, 0), times=20).acted is None


def test_a_service_near_its_limit_is_not_called_an_incident() -> None:
    judge = a_judge().count((1, 100, 9, 900), (1, 100, 11, 900), times=50)
    assert judge.last["slo"].decision.verdict == "pass"


def test_old_version_beyond_its_limit_for_long_asks_people() -> None:
    judge = a_judge().count((5, 100, 45, 900), times=13)
    decision = judge.last["slo"].decision
    assert (decision.verdict, decision.reason) == ("hold", reasons.INCIDENT)
    assert judge.count((5, 100, 45, 900)).last["slo"].decision.verdict == "pass"


@pytest.mark.parametrize(("limit", "edge"), [("500ms", 0.5), ("400ms", 0.5), ("1s", 1.0), ("100ms", 0.1)], ids=str)
def test_duration_is_judged_at_the_first_edge_that_is_not_below_it(limit: str, edge: float) -> None:
    judge = Judge((a_metric(kind="histogram", compare=None, slo={"max": limit, "quantile": "99%"}),))
    judge.see(Tick(10, a_histogram({0.1: 30, 0.5: 3, 1.0: 1}, 100), a_histogram({0.1: 30, 0.5: 3, 1.0: 1}, 900)))
    assert state(judge).edge == edge
    assert max_share(judge.metrics[0]) == pytest.approx(0.01)


def test_duration_beyond_all_edges_cannot_be_judged_and_asks_people() -> None:
    judge = Judge((a_metric(kind="histogram", compare=None, slo={"max": "5s", "quantile": "99%"}),))
    tick = Tick(10, a_histogram({0.1: 30}, 100), a_histogram({0.1: 30}, 900))
    decision = judge.see(*[tick] * 13).last["slo"].decision
    assert (decision.verdict, decision.reason) == ("hold", reasons.UNUSABLE_EDGES)
    assert state(judge).used == 0


def test_counts_that_contradict_each_other_are_dropped_and_counted() -> None:
    judge = a_judge().count((5, 3, 1, 900), times=3)
    assert (state(judge).dropped, state(judge).used, judge.log_e) == (3, 0, 0)


def test_a_limit_of_nothing_still_tolerates_nothing_without_breaking() -> None:
    judge = Judge((a_metric(compare=None, slo="0%"),)).count((1, 100, 0, 900), times=3)
    assert judge.acted is not None
    assert math.isfinite(judge.log_e)


def test_a_tick_of_silence_changes_nothing() -> None:
    judge = a_judge().count(CALM)
    before = judge.modes
    assert judge.count((0, 0, 0, 0), times=5).modes == before
    assert judge.see(Tick(0.0)).modes == before
