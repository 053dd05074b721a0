"""What people are told, what a plan can say in advance, and when the faster form may be chosen."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from statistics import fmean, median

import pytest

from tests.workflows.analysis.evidence.builders import PARAMETERS, Four, Judge, a_histogram, a_metric
from tests.workflows.analysis.evidence.simulation import Scenario, Service, binomial, constant
from workflows.analysis.evidence.bets import Pair
from workflows.analysis.evidence.findings import Finding, finding
from workflows.analysis.evidence.forecast import (
    Stake,
    Stretch,
    expected_cost,
    expected_find,
    expected_seconds,
    request_seconds,
)
from workflows.analysis.evidence.growth import Traffic, growth
from workflows.analysis.evidence.shadow import QUIET_SECONDS, Shadow, advance, dependence
from workflows.analysis.evidence.wording import compared
from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Tick

CALM: Four = (0, 100, 1, 900)
BAD: Four = (5, 100, 1, 900)
STAKE = Stake(PARAMETERS)
USUAL = Traffic(100, 0.1, 0.001, 10)


def found(judge: Judge) -> Finding:
    (part,) = judge.parts
    return finding(judge.parameters, part, judge.weighed)


class TestFindings:
    def test_before_anything_there_is_no_data(self) -> None:
        nothing = found(Judge())
        assert (nothing.state, nothing.p, nothing.ratio, nothing.ratio_interval) == ("noData", 1, None, None)
        assert nothing.sentence == "nothing to compare yet"

    def test_regression_in_numbers_and_in_a_sentence(self) -> None:
        bad = found(Judge().count(BAD, times=6))
        assert (bad.state, bad.counts, bad.used) == ("ok", Pair(30, 600, 6, 5400), 6)
        assert bad.new_share == 0.05
        assert bad.ratio == pytest.approx(45)
        assert bad.ratio_interval
        assert bad.ratio_interval.low < 45 < (bad.ratio_interval.high or math.inf)
        assert bad.difference_interval
        assert bad.difference_interval.low > 0
        assert bad.p == pytest.approx(math.exp(-7.767787), rel=1e-5)
        assert bad.sentence == (
            "45 times as many of the new version's requests failed as of the old one's, 30 of 600 against 6 of 5,400; "
            "a healthy version shows this less than once in 2,363 releases"
        )

    def test_p_keeps_the_largest_evidence(self) -> None:
        judge = Judge().count(BAD, times=6)
        p = found(judge).p
        assert found(judge.count(CALM, times=50)).p == p

    def test_healthy_version_gets_no_odds(self) -> None:
        told = found(Judge().count(CALM, times=20)).sentence
        assert told == "none of the new version's requests failed, 0 of 2,000 against 20 of 18,000"

    @pytest.mark.parametrize(
        ("pair", "said"),
        [
            (Pair(0, 0, 3, 90), "nothing to compare yet"),
            (Pair(0, 10, 0, 90), "none failed, 0 of 10 against 0 of 90"),
            (
                Pair(3, 10, 0, 90),
                "some of the new version's requests failed and none of the old one's, 3 of 10 against ",
            ),
            (Pair(1, 10, 9, 90), "about as many of the new version's requests failed as of the old one's, 1 of 10 "),
            (Pair(1, 10, 8, 900), "11 times as many of "),
            (Pair(12, 100, 1, 10000), "1,200 times as many of "),
            (Pair(1, 9000, 9, 9000), "0.11 times as many of "),
        ],
    )
    def test_proportions_are_said_as_people_say_them(self, pair: Pair, said: str) -> None:
        assert compared(pair, "failed").startswith(said)

    def test_latency_is_told_at_its_edge(self) -> None:
        arm = a_histogram({0.1: 200, 0.25: 50, 0.5: 10}, 1000)
        slow = a_histogram({0.1: 400, 0.25: 150, 0.5: 60}, 1000)
        judge = Judge((a_metric(kind="histogram"),)).see(Tick(10, Counts(), arm), *[Tick(10, slow, arm)] * 3)
        told = found(judge)
        assert told.edge == 0.25
        assert told.sentence.startswith("3 times as many of the new version's requests took longer than 250ms as of ")
        assert ", 450 of 3,000 against 150 of 3,000" in told.sentence

    def test_limit_alone_is_told_without_a_ratio(self) -> None:
        judge = Judge((a_metric(compare=None, slo="1%"),)).count((1, 100, 0, 0), times=3)
        assert (found(judge).sentence, found(judge).log_e_compare) == (
            "3 of the new version's 300 requests failed",
            None,
        )


class TestForecast:
    def test_growth_by_the_formula(self) -> None:
        assert growth(USUAL, 2) == pytest.approx(0.001 * (0.2 * math.log(2) - 1.1 * math.log(1.1)))
        seconds = request_seconds(USUAL, 2, PARAMETERS.comparing_errors, 0.01)
        expected = (math.log(100) + math.log(5) + math.log(2)) / (100 * growth(USUAL, 2))
        assert seconds == pytest.approx(expected)

    def test_nothing_is_found_without_traffic_errors_or_a_regression(self) -> None:
        nothing: tuple[dict[str, float], ...] = ({"rps": 0}, {"weight": 0}, {"weight": 1}, {"share": 0})
        for change in nothing:
            assert expected_seconds(STAKE, replace(USUAL, **change), 10) is None
        assert expected_seconds(STAKE, USUAL, 1.1) is None

    @pytest.mark.parametrize(("ratio", "runs"), [(50, 60), (10, 60)])
    def test_expectation_is_near_what_is_simulated(self, ratio: float, runs: int) -> None:
        scenario = Scenario(Service(new=constant(0.001 * ratio)), slo=None)
        times = [scenario.release(run).rolled_back or math.inf for run in range(runs)]
        expected = expected_seconds(STAKE, USUAL, ratio)
        assert expected
        assert 0.6 < median(times) / expected < 1.5

    def test_worse_regressions_and_more_traffic_are_found_sooner(self) -> None:
        times = [expected_seconds(STAKE, USUAL, ratio) or 0 for ratio in (2, 5, 10)]
        assert times == sorted(times, reverse=True)
        more = expected_seconds(STAKE, Traffic(1000, 0.1, 0.001, 10), 2)
        assert more
        assert more < times[0]

    @pytest.mark.parametrize("fault", [0.05, 0.2])
    def test_soft_entry_costs_about_five_requests_as_forecast_and_as_simulated(self, fault: float) -> None:
        entry = [Stretch(0.01, 20), Stretch(0.02, 20), Stretch(0.05, 20), Stretch(0.1, 1800)]
        usual = Traffic(200, 0, 0.001, 5)
        soft, hard = (expected_cost(STAKE, stretches, usual, fault) for stretches in (entry, entry[-1:]))
        assert soft
        assert hard
        weights = Service(rps=200, weight=lambda at: (0.01, 0.02, 0.05, 0.1)[min(3, int(at // 20))], tick=5)
        scenario = Scenario(replace(weights, new=constant(fault)))
        failed = [scenario.release(run).failed for run in range(40)]
        assert 3 < soft.failed < 8
        assert 3 < fmean(failed) < 8
        assert soft.failed < hard.failed / 3

    @pytest.mark.parametrize(("share", "simulated"), [(0.003, 605), (0.005, 250)])
    def test_fault_beyond_a_limit_is_found_about_when_it_was_in_simulations(
        self, share: float, simulated: float
    ) -> None:
        stake = Stake(PARAMETERS, None, limit=0.001)
        expected = expected_seconds(stake, Traffic(100, 0.1, 0.0005, 5), share / 0.0005)
        assert expected == pytest.approx(simulated, rel=1 / 3)

    def test_limit_goes_on_with_all_users_and_bears_what_the_old_version_does(self) -> None:
        stake = Stake(PARAMETERS, limit=0.01, parts=2)
        alone = expected_find(stake, Traffic(100, 1, 0.001, 5), 50)
        assert alone
        assert alone.failed == pytest.approx(alone.seconds * 100 * 0.05)
        assert expected_find(stake, Traffic(100, 1, 0.001, 5), 9) is None
        assert expected_find(Stake(PARAMETERS, None, limit=0.01), Traffic(100, 0.1, 0.05, 5), 1.2) is None

    def test_many_failures_of_a_tick_are_as_good_as_their_mean(self) -> None:
        stake = Stake(PARAMETERS, None, limit=0.01)
        some, many = (expected_seconds(stake, Traffic(rps, 1, 0.001, 5), 20) or 0 for rps in (590, 610))
        assert many == pytest.approx(some, rel=0.1)

    def test_fault_that_is_found_too_late_has_no_cost(self) -> None:
        assert expected_cost(STAKE, [Stretch(0.1, 10), Stretch(1, 600)], USUAL, 0.01) is None


class TestShadow:
    def halves(self, rng: random.Random, repeat: int) -> Pair:
        one, other = (float(binomial(rng, 500, 0.002)) * repeat for _ in range(2))
        return Pair(one, 500 + one, other, 500 + other)

    def test_a_quiet_day_allows_the_independent_form(self) -> None:
        rng, shadow = random.Random(3), Shadow()
        assert dependence(shadow) == "robust"
        for _ in range(300):
            shadow = advance(shadow, self.halves(rng, 1), seconds=QUIET_SECONDS / 299, horizon=180)
        assert (shadow.fired, dependence(shadow)) == (0, "independent")

    def test_bursts_make_it_fire_and_begin_anew(self) -> None:
        rng, shadow = random.Random(3), Shadow()
        for _ in range(300):
            shadow = advance(shadow, self.halves(rng, 4), seconds=QUIET_SECONDS / 299, horizon=180)
        assert shadow.fired > 0
        assert dependence(shadow) == "robust"

    def test_halves_without_requests_are_no_quiet_time(self) -> None:
        assert advance(Shadow(), Pair(0, 0, 0, 100), seconds=10, horizon=180) == Shadow()
