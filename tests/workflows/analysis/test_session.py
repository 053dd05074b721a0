"""Stages, gaps, missing data and evidence that travels: the rules of the guard, on a fake world."""

from __future__ import annotations

import json

import pytest

from tests.workflows.analysis.builders import World, a_segment, a_unit, an_analysis, gauge, ratio
from workflows.analysis import reasons
from workflows.analysis.batches import Batch, Missing
from workflows.analysis.session import SessionState, begin, evidence, restored, step
from workflows.model.decision import Decision

MINUTE = 60
HOUR = 3600


def a_stage(need: float | None = 600, *, interval: str = "60s", **fields: object) -> World:
    analysis = an_analysis(ratio(interval=interval), **fields)
    return World(analysis, a_segment(need=need))


class TestPassing:
    def test_stage_passes_after_its_observed_time(self) -> None:
        world = a_stage(600)
        start = world.at
        world.run(HOUR)
        assert (world.verdict, world.reason, world.at - start) == ("pass", reasons.TIME_REACHED, 600)

    def test_watch_without_a_wanted_time_never_passes(self) -> None:
        assert a_stage(None).run(HOUR).verdict == "continue"

    def test_too_few_requests_extend_the_stage_once_and_then_hold(self) -> None:
        world = a_stage(600, minRequests=100_000)
        start = world.at
        world.run(2 * HOUR)
        assert (world.verdict, world.reason, world.at - start) == ("hold", reasons.TOO_FEW_REQUESTS, 1200)
        assert "12,000 of at least 100,000 requests" in world.last.decision.message

    @pytest.mark.parametrize(("policy", "verdict"), [("hold", "hold"), ("proceed", "pass"), ("rollback", "rollback")])
    def test_document_says_what_too_few_requests_mean(self, policy: str, verdict: str) -> None:
        assert a_stage(60, minRequests=100_000, onInsufficient=policy).run(HOUR).verdict == verdict

    def test_requests_count_over_the_release_and_not_per_stage(self) -> None:
        world = a_stage(60, minRequests=700)
        assert world.run(MINUTE).verdict == "continue"
        assert world.run(MINUTE).verdict == "pass"
        world.enter_need(60)
        assert world.run(MINUTE).verdict == "pass"

    def test_no_stage_passes_without_a_sample_of_its_own(self) -> None:
        world = a_stage(60)
        world.run(MINUTE)
        world.enter_need(20)
        start = world.at
        world.run(HOUR)
        assert (world.verdict, world.at - start) == ("pass", 60)

    def test_extension_goes_on_over_segments(self) -> None:
        world = a_stage(600, minRequests=100_000)
        start = world.at
        world.run(900)
        world.enter(a_segment(2, need=0)).look(seconds=0)
        world.run(2 * HOUR)
        assert (world.verdict, world.at - start) == ("hold", 1200)

    def test_hold_asks_and_then_extends_once_more(self) -> None:
        world = a_stage(60, minRequests=10**6).run(HOUR)
        start = world.at
        assert world.run(HOUR).verdict == "hold"
        assert world.at - start == 120, "at least the patience"


class TestRollingBack:
    def test_rollback_needs_no_minimum_of_requests(self) -> None:
        world = a_stage(600, interval="5s", minRequests=10**6)
        assert world.look(requests=1, share=1).decision.verdict == "rollback"

    def test_one_failed_rule_is_enough_whatever_the_others_say(self) -> None:
        world = World(an_analysis(ratio(), gauge(interval="5s", rollback=10)), a_segment(need=600))
        world.gauge = 11
        world.look(requests=50)
        assert (world.verdict, world.reason) == ("rollback", reasons.RULE_FAILED)

    def test_failed_rule_of_an_optional_metric_rolls_back(self) -> None:
        world = World(an_analysis(ratio(), {**gauge(interval="5s", rollback=10), "required": False}))
        world.gauge = 11
        assert world.look(requests=50).decision.verdict == "rollback"


class TestMissingData:
    def test_no_requests_hold_after_the_patience(self) -> None:
        world = a_stage(600, patience="2m")
        start = world.at
        world.run(HOUR, rate=0)
        assert (world.verdict, world.reason) == ("hold", reasons.NO_DATA)
        assert world.at - start == 125
        assert "no requests reached the new version" in world.last.decision.message

    def test_source_that_is_down_holds_after_the_patience_and_says_why(self) -> None:
        world = a_stage(600, patience="2m").run(MINUTE)
        world.run(HOUR, missing="http://a/metrics refused the connection")
        assert (world.verdict, world.reason) == ("hold", reasons.PROVIDER_ERRORS)
        assert "refused the connection" in world.last.decision.message

    def test_time_without_data_is_not_observed(self) -> None:
        world = a_stage(120, patience="10m")
        world.run(MINUTE)
        world.run(3 * MINUTE, missing="down")
        assert (world.verdict, world.state.observed) == ("continue", 60)
        start = world.at
        assert world.run(HOUR).verdict == "pass"
        assert world.at - start == 65, "the first answer after the outage closes the gap and is not observed"

    def test_missing_data_never_passes_whatever_the_document_says(self) -> None:
        world = a_stage(60, onInsufficient="proceed", patience="1h").run(55)
        world.run(2 * HOUR, missing="down")
        assert world.verdict == "hold"

    def test_missing_data_of_an_optional_metric_is_only_shown(self) -> None:
        world = World(an_analysis(ratio(), {**gauge(), "required": False}), a_segment(need=300))
        assert world.run(HOUR).verdict == "pass"
        assert world.last.reports[1].state == "noData"

    def test_outage_does_not_hide_failures_that_the_counters_saw(self) -> None:
        world = a_stage(600, patience="10m").run(MINUTE)
        world.run(MINUTE, missing="down", share=1)
        assert world.look(requests=50).decision.verdict == "rollback"

    def test_one_silent_instance_of_three_is_not_good_enough_to_pass(self) -> None:
        world = a_stage(60)
        world.run(55)
        for _ in range(40):
            world.at += 5
            world.served["canary"][0] += 50
            batch = Batch(world.at, world.units(), (Missing("app", "canary", "instance 3 of 3 did not answer"),))
            world.steps.append(step(world.analysis, world.segment, world.state, batch))
            world.state = world.last.state
            if world.verdict != "continue":
                break
        assert (world.verdict, world.reason) == ("hold", reasons.PROVIDER_ERRORS)

    def test_answer_after_a_hold_starts_the_patience_again(self) -> None:
        world = a_stage(600).run(HOUR, rate=0)
        assert world.verdict == "hold"
        assert world.run(MINUTE, rate=0).verdict == "continue"

    def test_what_a_store_tells_late_of_the_time_before_a_segment_does_not_hold_it_again(self) -> None:
        world = a_stage(600, patience="1m").run(MINUTE)
        assert world.run(HOUR, missing="down").verdict == "hold"
        began = world.at + 4 * MINUTE
        world.enter(a_segment(2, need=600, since=began))
        assert world.run(4 * MINUTE, missing="down").verdict == "continue"
        world.run(HOUR, missing="down")
        assert (world.verdict, world.at - began) == ("hold", MINUTE), "a patience of its own"

    def test_what_a_store_tells_late_still_condemns(self) -> None:
        world = a_stage(600).run(MINUTE).enter(a_segment(2, need=600, since=2000))
        assert world.run(2 * MINUTE, share=1).verdict == "rollback"
        assert world.at < 2000

    def test_histogram_that_cannot_tell_is_held_whatever_the_document_says(self) -> None:
        end = self.durations_of("10s", fast=5)
        assert (end.verdict, end.reason) == ("hold", reasons.UNUSABLE_BUCKETS)
        assert "slower than the histogram's highest bucket" in end.message

    def test_histogram_below_the_limit_is_good_enough_while_requests_stay_in_its_buckets(self) -> None:
        assert self.durations_of("10s", fast=9).verdict == "pass"

    def test_durations_beyond_the_highest_bucket_fail_a_limit_at_that_bucket(self) -> None:
        assert self.durations_of("500ms", fast=5).verdict == "rollback"

    @staticmethod
    def durations_of(limit: str, *, fast: float) -> Decision:
        """How a stage ends in which `fast` of 9 requests take less than 0.5 s and the others longer than any bucket."""
        rule = {"rollback": limit, "interval": "5s"}
        metric = {"name": "latency", "kind": "histogram", "source": "app", "rule": rule}
        analysis, segment = an_analysis(metric, onInsufficient="proceed"), a_segment(need=60)
        state = begin(SessionState(), segment)
        for i in range(100):
            buckets = {"0.1": {"x": 0.0}, "0.5": {"x": fast * i}, "+Inf": {"x": 9.0 * i}}
            result = step(analysis, segment, state, Batch(5.0 * i, (a_unit(counters={"latency": buckets}),)))
            state = result.state
            if result.decision.verdict != "continue":
                return result.decision
        return Decision(verdict="continue")


class TestGaps:
    def test_gap_is_evaluated_first_and_rolls_back(self) -> None:
        world = a_stage(600).run(MINUTE)
        assert world.look(seconds=HOUR, requests=1000, share=0.5).decision.verdict == "rollback"

    def test_gap_never_helps_a_stage_to_pass(self) -> None:
        world = a_stage(600, minRequests=10_000).run(MINUTE)
        world.look(seconds=HOUR, requests=100_000)
        assert world.verdict == "continue"
        assert world.last.reports[0].requests == 600
        assert (world.state.observed, world.state.gap) == (60, HOUR)

    def test_gap_in_which_the_source_is_still_down_waits_the_whole_patience(self) -> None:
        world = a_stage(600, patience="2m").run(MINUTE)
        assert world.look(seconds=HOUR, missing="down").decision.verdict == "continue"

    def test_good_gap_is_no_sample_of_a_count(self) -> None:
        analysis = an_analysis(ratio(like="argo", interval="5s", count=3), {**gauge(), "required": False})
        world = World(analysis, a_segment(need=10))
        world.look(requests=50)
        world.look(requests=50)
        world.look(seconds=HOUR, requests=50)
        assert world.reason == reasons.TOO_FEW_SAMPLES
        assert world.look(requests=50).decision.verdict == "pass"

    def test_good_gap_leaves_the_open_interval_alone(self) -> None:
        world = a_stage(600)
        world.run(50, share=0.1)
        world.look(seconds=HOUR, requests=10**6)
        assert world.run(10, share=0.1).verdict == "rollback"

    def test_slow_answers_are_no_gap(self) -> None:
        world = a_stage(600)
        for _ in range(12):
            world.look(seconds=10, requests=100)
        assert (world.state.observed, world.state.gap) == (120, 0)

    def test_clock_that_goes_back_counts_nothing_and_breaks_nothing(self) -> None:
        world = a_stage(600).run(MINUTE)
        world.look(seconds=-HOUR, requests=50)
        assert (world.verdict, world.state.observed) == ("continue", 60)
        assert world.run(MINUTE).state.observed == 120


class TestSegments:
    def test_time_between_segments_is_judged_and_not_observed(self) -> None:
        world = a_stage(600, interval="5s").run(MINUTE)
        world.enter(a_segment(2, need=600, stage="25%"))
        world.look(seconds=5, requests=50, share=0.5)
        assert (world.verdict, world.state.observed) == ("rollback", 0)

    def test_slot_that_changes_its_version_starts_from_its_counters_of_that_moment(self) -> None:
        world = a_stage(600, interval="5s").run(MINUTE)
        world.served["stable"] = [20_000, 10_000]
        world.enter(a_segment(2, stage="promoted", new=("canary", "stable"), old=()))
        world.look(seconds=5, requests=50)
        assert world.verdict == "continue", "the old version's failures are not the new one's"
        world.look(seconds=5, requests=50)
        assert world.last.reports[0].requests == 600 + 50 + (50 + 450)

    def test_later_attempt_of_a_segment_keeps_what_was_observed(self) -> None:
        world = a_stage(600).run(MINUTE)
        again = begin(restored(evidence(world.state)), world.segment)
        assert again.observed == 60

    def test_evidence_is_small_plain_json(self) -> None:
        world = World(an_analysis(*[ratio(f"metric-{i}") for i in range(5)])).run(MINUTE)
        carried = evidence(world.state)
        assert restored(type(carried).model_validate_json(carried.model_dump_json())) == world.state
        assert len(json.dumps(carried.metrics)) < 5 * 1024

    def test_evidence_of_many_series_stays_within_its_limit(self) -> None:
        state = SessionState()
        segment = a_segment()
        for at in (0, 5):
            series = {f"series-{i}": 10.0 for i in range(5000)}
            counters = {"errors": {"total": series, "bad": series}}
            units = tuple(a_unit(counters=counters, id=f"app:canary@{i}") for i in range(20))
            state = step(an_analysis(), segment, begin(state, segment), Batch(at, units)).state
        assert len(json.dumps(evidence(state).metrics)) < 10 * 1024

    def test_evidence_nobody_can_read_starts_again(self) -> None:
        states = {"@session": {"raw": 7}, "errors": {"silent": "x"}, "other": {"modes": {"rule": {"tally": 1}}}}
        broken = evidence(SessionState()).model_copy(update={"metrics": states})
        world = World(an_analysis(ratio("other")), state=restored(broken))
        assert world.run(MINUTE).verdict == "continue"

    def test_unknown_fields_of_a_newer_worker_are_ignored(self) -> None:
        world = a_stage(600).run(MINUTE)
        carried = evidence(world.state)
        newer = {name: {**state, "newField": {"deep": [1]}} for name, state in carried.metrics.items()}
        assert restored(carried.model_copy(update={"metrics": newer})) == world.state


class TestWarmup:
    def test_samples_of_the_warmup_are_thrown_away(self) -> None:
        world = a_stage(60, interval="5s", warmup="30s")
        world.run(25, share=1)
        assert (world.verdict, world.reason) == ("continue", reasons.WARMING_UP)
        start = world.at
        world.run(HOUR)
        assert (world.verdict, world.at - start) == ("pass", 65)

    def test_warmup_is_once_per_release(self) -> None:
        world = a_stage(60, interval="5s", warmup="30s")
        world.run(HOUR)
        world.enter_need(60)
        assert world.look(requests=50, share=1).decision.verdict == "rollback"
