"""The comparing mode: shares instead of rates, edges instead of quantiles, and both versions over the same time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.analysis.evidence.builders import Four, Judge, a_histogram, a_metric, a_tick
from workflows.analysis import reasons
from workflows.analysis.evidence.comparison import CompareState
from workflows.analysis.evidence.edges import HISTORY, MOST, usable_edges
from workflows.analysis.evidence.mixture import STAKES
from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Tick

COMPARE_ONLY = (a_metric(),)
LATENCY = (a_metric(kind="histogram", name="latency", quantile="95%"),)
CALM: Four = (0, 100, 1, 900)
BAD: Four = (5, 100, 1, 900)

SLOW_SHARES = {0.05: 0.5, 0.1: 0.2, 0.25: 0.05, 0.5: 0.01, 1.0: 0.002}


def a_judge() -> Judge:
    return Judge(COMPARE_ONLY)


def state(judge: Judge) -> CompareState:
    found = judge.parts[0].compare
    assert found
    return found


def latency(total: float, factor: float = 1.0) -> Counts:
    return a_histogram({edge: min(total, round(total * share * factor)) for edge, share in SLOW_SHARES.items()}, total)


def a_latency_judge() -> Judge:
    return Judge(LATENCY).see(Tick(10, Counts(), latency(5000)))


class TestAlone:
    def test_version_alone_is_held_against_what_the_old_one_did_before(self) -> None:
        judge = a_judge().count(CALM, times=12)
        decision = judge.count((20, 1000, 0, 0), times=4).last["compare"].decision
        assert (decision.verdict, decision.reason) == ("rollback", reasons.WORSE_THAN_BEFORE)
        assert decision.message == (
            "errors: 2% failed with all users, 0.111% of the old version before "
            "(a rule: nothing serves beside it to compare with)"
        )
        assert judge.decision.verdict == "continue", "it is no evidence"

    def test_version_as_good_as_the_old_one_passes_for_an_hour(self) -> None:
        judge = a_judge().count(CALM, times=12)
        for _ in range(60):
            judge.count((1, 1000, 0, 0), (2, 1000, 0, 0), (0, 1000, 0, 0), times=4)
            assert judge.last["compare"].decision.verdict == "pass"

    def test_a_few_requests_in_a_row_are_chance(self) -> None:
        judge = a_judge().count(CALM, times=12).count((50, 100, 0, 0))
        assert judge.last["compare"].decision.verdict == "pass"
        judge.count((0, 1, 0, 1), (50, 100, 0, 0))
        assert judge.last["compare"].decision.verdict == "pass"

    def test_old_version_that_was_hardly_seen_condemns_nobody(self) -> None:
        judge = a_judge().count((0, 5, 0, 5)).count((20, 1000, 0, 0), times=5)
        assert judge.last["compare"].decision.verdict == "pass"

    def test_nothing_recorded_says_nothing(self) -> None:
        assert a_judge().count((500, 1000, 0, 0), times=5).last["compare"].decision.verdict == "pass"

    def test_slow_version_alone_is_held_against_the_edge_that_is_shown(self) -> None:
        judge = a_latency_judge().see(*[Tick(10, latency(100), latency(900))] * 3)
        decision = judge.see(*[Tick(10, latency(1000, 4.0), Counts())] * 3).last["compare"].decision
        assert (decision.verdict, decision.reason) == ("rollback", reasons.WORSE_THAN_BEFORE)
        assert "20% took longer than 250ms" in decision.message


class TestShares:
    def test_an_incident_of_both_versions_is_no_evidence(self) -> None:
        judge = a_judge().count(CALM, times=20).count((10, 100, 90, 900), times=60)
        assert judge.acted is None
        assert judge.log_e < 0

    def test_all_requests_on_the_new_version_are_no_evidence(self) -> None:
        judge = a_judge().count(CALM, times=3)
        log_e = judge.log_e
        assert judge.count((1, 1000, 0, 0), times=30).log_e == log_e
        assert judge.last["compare"].decision.verdict == "pass"

    def test_weights_may_change_from_tick_to_tick(self) -> None:
        steps: list[Four] = [(1, 50, 19, 950), (2, 100, 18, 900), (5, 250, 15, 750), (10, 500, 10, 500)]
        judge = a_judge()
        for four in steps:
            judge.count(four, times=20)
        assert judge.acted is None

    def test_idle_ticks_do_not_use_up_the_horizon(self) -> None:
        judge = a_judge().count((0, 0, 1, 900), times=50)
        assert state(judge).start.ticks == 0

    @settings(deadline=None, max_examples=50)
    @given(st.permutations([*[CALM] * 3, (3, 80, 2, 700), (1, 5, 0, 95)]))
    def test_order_matters_only_through_the_start_prior(self, ticks: list[Four]) -> None:
        """Without it (all bets start at once), any order of the same ticks is the same evidence."""
        one = Judge(COMPARE_ONLY).with_parameters(horizon=2).count((0, 10, 0, 90), (0, 10, 0, 90), *ticks)
        other = Judge(COMPARE_ONLY).with_parameters(horizon=2).count((0, 10, 0, 90), (0, 10, 0, 90), *sorted(ticks))
        assert one.log_e == pytest.approx(other.log_e, abs=1e-9)


class TestSameTime:
    def test_what_one_version_could_not_say_waits_for_it(self) -> None:
        late = a_judge().count(CALM)
        late.see(a_tick((0, 0, 40, 900), error="down"), a_tick((0, 0, 45, 900), error="down"))
        assert state(late).used == 1
        late.see(a_tick((13, 300, 44, 900)))
        whole = a_judge().count(CALM, (13, 300, 129, 2700))
        assert late.log_e == whole.log_e

    def test_missing_answers_of_the_old_version_wait_too_and_then_ask_people(self) -> None:
        judge = a_judge().count(CALM)
        judge.see(*[a_tick((1, 100, 0, 0), baseline_error="no answer")] * 13)
        decision = judge.last["compare"].decision
        assert (decision.verdict, decision.reason) == ("hold", reasons.PROVIDER_ERRORS)
        assert judge.log_e == pytest.approx(a_judge().count(CALM).log_e)

    def test_a_metric_that_is_not_required_never_asks(self) -> None:
        judge = Judge((a_metric(required=False),)).see(*[a_tick((1, 100, 0, 0), baseline_error="no")] * 13)
        assert judge.last["compare"].decision.verdict == "pass"

    def test_a_long_time_across_a_change_of_weights_proves_nothing(self) -> None:
        """An incident that falls into the part with the larger weight would be blamed on the new version."""
        mixed: Four = (250, 3000, 260, 7000)
        assert a_judge().see(a_tick(mixed, is_gap=True, is_shifted=True)).log_e == 0
        assert a_judge().see(a_tick(mixed, is_gap=True)).log_e > 0
        assert a_judge().see(a_tick(mixed, is_shifted=True)).log_e > 0
        held = a_judge().see(a_tick((0, 0, 260, 7000), error="down", is_shifted=True), a_tick((250, 3000, 0, 0)))
        assert (held.log_e, state(held).skipped) == (0, 1)

    def test_time_in_which_nobody_looked_may_condemn_and_never_acquits(self) -> None:
        assert a_judge().see(*[a_tick((0, 1000, 90, 9000), is_gap=True)] * 20).overall.log_pass <= 0
        assert a_judge().see(*[a_tick((0, 1000, 90, 9000))] * 20).overall.log_pass > 0
        assert a_judge().see(*[a_tick((50, 1000, 9, 9000), is_gap=True)] * 9).acted is not None

    def test_each_stage_needs_requests_of_its_own(self) -> None:
        judge = a_judge().count(CALM, stage=1)
        assert judge.last["compare"].decision.verdict == "pass"
        decision = judge.count((0, 0, 1, 900), stage=2).last["compare"].decision
        assert (decision.verdict, decision.reason) == ("continue", reasons.AWAITING_SAMPLE)


class TestEdges:
    def test_edges_come_from_history_and_lie_where_they_tell_something(self) -> None:
        history = a_histogram({0.01: 990, 0.05: 590, 0.1: 200, 0.5: 1, 1.0: 0}, 1000)
        assert usable_edges(history, 0.95) == ((0.05, 0.1, 0.5), 0.1)

    def test_many_edges_are_thinned_out_evenly(self) -> None:
        history = a_histogram({float(i): 600 - 20 * i for i in range(1, 25)}, 1000)
        edges = usable_edges(history, 0.75)
        assert (len(edges.all), edges.all[0], edges.all[-1]) == (MOST, 1.0, 24.0)
        assert edges.main in edges.all

    def test_too_little_history_chooses_nothing(self) -> None:
        assert usable_edges(a_histogram({0.1: 100, 0.2: 50}, HISTORY - 1), 0.95).all == ()

    def test_without_history_the_first_ticks_are_taken_for_it(self) -> None:
        judge = Judge(LATENCY)
        for _ in range(3):
            judge.see(Tick(10, latency(10), latency(200)))
        assert (state(judge).channels, judge.log_e) == ({}, 0)
        assert judge.last["compare"].decision.reason == reasons.AWAITING_SAMPLE
        judge.see(Tick(10, latency(10), latency(200)))
        assert state(judge).used == 1
        assert judge.last["compare"].decision.verdict == "pass"

    def test_interval_is_of_the_edge_nearest_to_the_quantile(self) -> None:
        judge = a_latency_judge().see(Tick(10, latency(100), latency(900)))
        assert state(judge).main == "0.25"
        assert list(state(judge).channels) == ["0.05", "0.25", "0.5", "1.0"]

    def test_slower_requests_are_found_and_faster_ones_are_not_held_against_anybody(self) -> None:
        assert a_latency_judge().see(*[Tick(10, latency(100, 3), latency(900))] * 12).acted is not None
        assert a_latency_judge().see(*[Tick(10, latency(100, 0.3), latency(900))] * 60).log_e < 0

    def test_a_change_of_both_versions_is_no_evidence(self) -> None:
        assert a_latency_judge().see(*[Tick(10, latency(1000, 2), latency(9000, 2))] * 60).log_e < 0

    def test_few_requests_compare_with_a_slightly_larger_ratio_because_being_slow_is_not_rare(self) -> None:
        """With five requests in a tick, 1.25 becomes 1.25 x 4 / 3.75."""
        judge = Judge((a_metric(kind="histogram", compare=1.25),)).see(Tick(10, Counts(), latency(5000)))
        one = a_histogram({0.05: 2, 0.25: 2, 0.5: 2, 1.0: 2}, 3)
        other = a_histogram({0.05: 1, 0.25: 1, 0.5: 1, 1.0: 1}, 2)
        judge.see(Tick(10, one, other))
        share = 3 * (1.25 * 4 / 3.75) / (3 * (1.25 * 4 / 3.75) + 2)
        expected = [0.5 / 6 * (1 + stake * (2 / 3 / share - 1)) for stake in STAKES]
        assert state(judge).channels["0.25"].mixture.blocks == pytest.approx(expected)

    def test_an_edge_that_is_missing_for_a_while_only_pauses(self) -> None:
        judge = a_latency_judge().see(Tick(10, latency(100), latency(900)))
        fewer = a_histogram({0.05: 50, 0.5: 1}, 100)
        judge.see(Tick(10, fewer, latency(900)))
        assert state(judge).used == 2
        assert state(judge).channels["0.25"].pair.new_total == 100
        assert state(judge).channels["0.5"].pair.new_total == 200

    def test_different_buckets_cannot_be_compared_and_ask_people(self) -> None:
        judge = a_latency_judge()
        judge.see(*[Tick(10, a_histogram({0.3: 10, 0.7: 5}, 100), latency(900))] * 13)
        decision = judge.last["compare"].decision
        assert (decision.verdict, decision.reason, judge.log_e) == ("hold", reasons.UNUSABLE_EDGES, 0)

    def test_early_promotion_listens_to_the_worst_edge(self) -> None:
        good, odd = latency(1000), latency(1000)
        odd = odd.model_copy(update={"buckets": {**odd.buckets, 1.0: 980.0, 0.5: 980.0}})
        assert a_latency_judge().see(*[Tick(10, good, latency(9000))] * 40).overall.log_pass > 0
        assert a_latency_judge().see(*[Tick(10, odd, latency(9000))] * 40).overall.log_pass < 0
