"""Each sentence of the table of presets in the specification, as a rule on a minute-by-minute release."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.analysis.builders import World, an_analysis, gauge, ratio
from workflows.analysis import reasons

MINUTE = 60


def optional_gauge() -> dict[str, Any]:
    """Goes on guarding when the other metric has succeeded, and may be missing."""
    return {**gauge(), "required": False}


def a_world(**rule: Any) -> World:
    return World(an_analysis(ratio(**rule)))


def minutes_until_it_acts(world: World, *, share: float, limit: int = 20) -> float | None:
    start = world.at
    world.run(limit * MINUTE, share=share)
    return None if world.verdict == "continue" else (world.at - start) / MINUTE


def a_minute(world: World, *, share: float = 0, missing: str = "") -> World:
    return world.run(MINUTE, share=share, missing=missing)


class TestSimple:
    def test_first_bad_sample_rolls_back_at_the_end_of_the_first_interval(self) -> None:
        assert minutes_until_it_acts(a_world(alert="1%", rollback="5%"), share=0.06) == 1

    @pytest.mark.parametrize(("share", "state"), [(0.005, "ok"), (0.01, "ok"), (0.03, "alert"), (0.05, "alert")])
    def test_alert_limit_is_shown_and_rolls_nothing_back(self, share: float, state: str) -> None:
        world = a_minute(a_world(alert="1%", rollback="5%"), share=share)
        assert (world.verdict, world.last.reports[0].state) == ("continue", state)

    @pytest.mark.parametrize(("value", "state"), [(700, "ok"), (5000, "alert")])
    def test_advice_is_shown_and_decides_nothing(self, value: int, state: str) -> None:
        world = a_minute(World(an_analysis(gauge(rollback=None, alert=800), ratio()), gauge=value))
        (told, _) = world.last.reports
        assert (world.verdict, told.state, told.limit, told.alert) == ("continue", state, None, 800)
        assert told.sentence == f"{value}, advice 800"

    @pytest.mark.parametrize(
        ("limits", "verdict"), [({"alert": 800, "rollback": None}, "continue"), ({"rollback": 800}, "hold")]
    )
    def test_advice_is_never_waited_for(self, limits: dict[str, Any], verdict: str) -> None:
        world = World(an_analysis(gauge(**limits), ratio()))
        assert world.run(20 * MINUTE).verdict == verdict

    def test_value_exactly_at_the_limit_does_not_fail(self) -> None:
        assert minutes_until_it_acts(a_world(rollback="5%"), share=0.05) is None

    def test_failure_limit_of_3_acts_on_the_fourth_failure(self) -> None:
        assert minutes_until_it_acts(a_world(failureLimit=3), share=0.5) == 4

    def test_failures_add_up_over_good_samples(self) -> None:
        world = a_world(failureLimit=1)
        a_minute(a_minute(a_minute(world, share=0.5)), share=0.5)
        assert world.verdict == "rollback"

    def test_consecutive_forgets_failures_after_a_good_sample(self) -> None:
        world = a_world(failureLimit=1, consecutive=True)
        a_minute(a_minute(a_minute(world, share=0.5)), share=0.5)
        assert world.verdict == "continue"
        assert a_minute(world, share=0.5).verdict == "rollback"

    def test_initial_delay_shifts_the_first_interval(self) -> None:
        assert minutes_until_it_acts(a_world(initialDelay="2m"), share=0.5) == 3

    def test_direction_below_fails_on_small_values(self) -> None:
        world = a_world(direction="below", rollback="99%", alert="99.5%")
        assert a_minute(world, share=0.992).last.reports[0].state == "alert"
        assert a_minute(world, share=0.98).verdict == "rollback"

    def test_gauge_is_sampled_once_per_interval(self) -> None:
        world = World(an_analysis(gauge(alert=800, rollback=1000, failureLimit=3), ratio()))
        world.gauge = 1001
        assert minutes_until_it_acts(world, share=0) == 4
        assert world.last.decision.message.startswith("queue: 1001 against a limit of 1000")

    def test_one_sample_is_one_whole_interval(self) -> None:
        world = a_world(rollback="5%")
        world.run(50, share=0)
        assert a_minute(world, share=0.2).verdict == "continue", "two bad ticks of twelve are 3.3%"


class TestArgo:
    def test_first_sample_is_taken_at_once(self) -> None:
        world = a_world(like="argo")
        assert world.look(requests=50, share=0.5).decision.verdict == "rollback"

    def test_default_failure_limit_is_0(self) -> None:
        assert a_world(like="argo").look(requests=50, share=0.06).decision.verdict == "rollback"

    def test_failure_limit_of_3_acts_on_the_fourth_failure(self) -> None:
        world = a_world(like="argo", failureLimit=3)
        assert minutes_until_it_acts(world, share=0.5) == pytest.approx(3 + 5 / MINUTE)
        assert world.last.reports[0].failures == 4

    def test_failures_are_cumulative(self) -> None:
        world = a_world(like="argo", failureLimit=1)
        world.look(requests=50, share=0.5)
        a_minute(world)
        assert a_minute(world, share=0.5).verdict == "rollback"

    def test_initial_delay_puts_the_first_sample_off(self) -> None:
        world = a_world(like="argo", initialDelay="60s")
        assert minutes_until_it_acts(world, share=0.5) == pytest.approx(1 + 5 / MINUTE)

    def test_between_success_and_failure_is_inconclusive_and_holds(self) -> None:
        world = a_world(like="argo", success="1%", rollback="5%")
        world.look(requests=50, share=0.03)
        assert (world.verdict, world.reason) == ("hold", reasons.INCONCLUSIVE)

    def test_inconclusive_limit_is_tolerated(self) -> None:
        world = a_world(like="argo", success="1%", rollback="5%", inconclusiveLimit=2)
        assert minutes_until_it_acts(world, share=0.03) == pytest.approx(2 + 5 / MINUTE)

    def test_success_alone_fails_everything_beyond_it(self) -> None:
        assert a_world(like="argo", success="1%").look(requests=50, share=0.02).decision.verdict == "rollback"

    def test_five_errors_in_a_row_hold_and_are_retried_every_10_seconds(self) -> None:
        world = a_world(like="argo")
        start = world.at
        world.run(10 * MINUTE, missing="metrics endpoint refused the connection")
        assert (world.verdict, world.reason) == ("hold", reasons.PROVIDER_ERRORS)
        assert world.at - start == 5 + 4 * 10

    def test_errors_that_are_not_in_a_row_are_forgiven(self) -> None:
        world = a_world(like="argo", consecutiveErrorLimit=1)
        for _ in range(4):
            world.look(missing="no answer")
            world.look(requests=50)
            world.look(requests=50)
        assert world.verdict == "continue"

    def test_errors_do_not_count_as_failures(self) -> None:
        world = a_world(like="argo", consecutiveErrorLimit=100)
        world.run(MINUTE, missing="no answer")
        assert world.last.reports[0].failures == 0

    def test_reaching_count_is_success_and_ends_sampling(self) -> None:
        world = World(an_analysis(ratio(like="argo", count=2), optional_gauge()))
        world.look(requests=50)
        a_minute(world)
        assert a_minute(world, share=0.9).verdict == "continue"

    def test_stage_waits_for_the_count(self) -> None:
        world = World(an_analysis(ratio(like="argo", count=3), gauge(interval="5s")))
        world.gauge = 1
        world.enter_need(30)
        assert world.run(90).reason == reasons.TOO_FEW_SAMPLES
        assert world.run(60).verdict == "pass"

    def test_consecutive_successes_are_success(self) -> None:
        world = World(an_analysis(ratio(like="argo", consecutiveSuccessLimit=2, failureLimit=5), optional_gauge()))
        world.look(requests=50)
        a_minute(world, share=0.9)
        a_minute(a_minute(world))
        assert a_minute(world, share=0.9).last.reports[0].failures == 1, "no sample is taken any more"

    def test_count_without_enough_consecutive_successes_is_inconclusive(self) -> None:
        rule = ratio(like="argo", count=2, consecutiveSuccessLimit=2, failureLimit=5)
        world = World(an_analysis(rule, optional_gauge()))
        world.look(requests=50, share=0.9)
        assert (a_minute(world).verdict, world.reason) == ("hold", reasons.INCONCLUSIVE)


class TestFlagger:
    def test_threshold_5_at_1m_acts_in_the_sixth_minute(self) -> None:
        assert minutes_until_it_acts(a_world(like="flagger", threshold=5), share=0.5) == 6

    def test_unset_threshold_is_1(self) -> None:
        assert minutes_until_it_acts(a_world(like="flagger"), share=0.5) == 2

    def test_failed_checks_are_never_lowered_by_a_success(self) -> None:
        world = a_world(like="flagger", threshold=2)
        a_minute(world, share=0.5)
        for _ in range(5):
            a_minute(world)
        a_minute(world, share=0.5)
        assert world.verdict == "continue"
        assert a_minute(world).verdict == "rollback", "the next check acts, although it is a good one"

    def test_no_value_counts_as_a_failed_check(self) -> None:
        world = World(an_analysis(ratio(like="flagger", threshold=3), patience="1h"))
        a_minute(world, share=0.5)
        a_minute(world, missing="no answer")
        world.run(MINUTE, rate=0)
        assert world.last.reports[0].failures == 3
        assert a_minute(world).verdict == "rollback"

    def test_missing_values_alone_hold_and_never_roll_back(self) -> None:
        world = World(an_analysis(ratio(like="flagger", threshold=2), patience="1h"))
        world.run(10 * MINUTE, rate=0)
        assert (world.verdict, world.reason) == ("hold", reasons.NO_DATA)
        world.run(10 * MINUTE, rate=0)
        assert world.verdict == "hold"

    def test_people_that_let_it_go_on_after_missing_values_get_the_whole_threshold_again(self) -> None:
        world = World(an_analysis(ratio(like="flagger", threshold=2), patience="1h"))
        world.run(10 * MINUTE, rate=0)
        a_minute(world)
        assert (world.verdict, world.last.reports[0].failures) == ("continue", 0)


def test_a_failed_rule_never_recovers() -> None:
    world = a_world(rollback="5%")
    a_minute(world, share=0.5)
    for _ in range(5):
        assert world.look(requests=1000).decision.verdict == "rollback"
