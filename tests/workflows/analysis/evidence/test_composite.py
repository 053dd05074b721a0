"""All metrics together: one alpha for the release, a worry that lets nothing pass, and early promotion."""

from __future__ import annotations

import math

import pytest

from tests.workflows.analysis.evidence.builders import Four, Judge, a_metric
from workflows.analysis import reasons
from workflows.analysis.evidence.composite import Weighed, decided, overall, part_of
from workflows.analysis.evidence.parameters import Parameters
from workflows.model.analysis import Analysis

CALM: Four = (0, 100, 1, 900)
BAD: Four = (5, 100, 1, 900)


def test_bad_metric_among_good_ones_is_found_a_little_later() -> None:
    alone = Judge((a_metric(),)).count(BAD, times=20)
    names = ("errors", *"abcd")
    among = Judge([a_metric(name=name) for name in names])
    for _ in range(40):
        for metric in among.metrics:
            one = Judge([metric], modes=among.modes)
            one.count(BAD if metric.name == "errors" else CALM)
        among.weighed = among.overall.weighed
        among.ticks += 1
        if among.decision.verdict == "rollback":
            break
    assert alone.acted
    assert alone.acted < among.ticks <= alone.acted + 3
    assert among.decision.message.startswith("errors: ")


def test_evidence_is_the_mean_over_modes_and_metrics() -> None:
    both = Judge((a_metric(name="a"), a_metric(name="b", compare=None, slo="1%"))).count(BAD, times=3)
    logs = [Judge((metric,)).count(BAD, times=3).log_e for metric in both.metrics]
    assert math.exp(both.log_e) == pytest.approx(sum(map(math.exp, logs)) / 2)
    joint = Judge((a_metric(slo="1%"),)).count(BAD, times=3)
    assert joint.log_e == pytest.approx(both.log_e)


def test_rollback_latches() -> None:
    judge = Judge().count(BAD, times=6)
    assert judge.decision.reason == reasons.EVIDENCE_FOUND
    judge.count((0, 1000, 9, 9000), times=200)
    assert judge.log_e < math.log(100)
    assert judge.decision.verdict == "rollback"


def test_no_single_metric_rolls_back_on_its_own() -> None:
    judge = Judge().count(BAD, times=50)
    assert {each.decision.verdict for each in judge.last.values()} == {"pass"}


def test_worry_lets_no_stage_pass_and_goes_away_again() -> None:
    judge = Judge((a_metric(),)).count(CALM, times=3)
    while judge.log_e < math.log(10):
        judge.count((2, 100, 1, 900))
    assert (judge.decision.verdict, judge.decision.reason) == ("continue", reasons.LEANING_BAD)
    judge.count(CALM, times=60)
    assert judge.decision.reason != reasons.LEANING_BAD


def test_good_version_may_be_promoted_early_when_every_comparison_says_so() -> None:
    judge = Judge((a_metric(name="a"), a_metric(name="b", slo="1%"))).count((0, 500, 1, 500), times=20)
    assert (judge.decision.verdict, judge.decision.reason) == ("pass", reasons.EVIDENCE_FOR_PASSING)


def test_absolute_limit_alone_never_promotes_early() -> None:
    assert Judge((a_metric(compare=None, slo="1%"),)).count((0, 500, 1, 500), times=50).decision.verdict == "continue"


def test_version_that_fails_three_times_as_often_is_not_promoted_early() -> None:
    assert Judge((a_metric(compare=5),)).count((3, 500, 1, 500), times=50).overall.log_pass < 0


def test_independent_form_acts_earlier() -> None:
    robust = Judge().count(BAD, times=20)
    independent = Judge().with_parameters(dependence="independent").count(BAD, times=20)
    assert robust.acted
    assert independent.acted
    assert independent.acted < robust.acted


def test_without_evidence_modes_there_is_nothing_to_weigh() -> None:
    rule = Analysis.model_validate(
        {"metrics": [{"name": "m", "kind": "ratio", "source": "app", "rule": {"rollback": "5%"}}]}
    ).metrics[0]
    assert part_of(rule, {}) is None
    now = overall(Parameters(), [], Weighed())
    assert (now.log_e, decided(Parameters(), [], now).verdict) == (0.0, "continue")


def test_parameters_come_from_the_document() -> None:
    metric = {"name": "m", "kind": "ratio", "source": "app", "compare": {}}
    analysis = Analysis.model_validate({"tick": "10s", "patience": "3m", "metrics": [metric]})
    parameters = Parameters.of(analysis)
    assert (parameters.horizon, parameters.no_data_timeout, parameters.alpha) == (180, 180, 0.01)


def test_state_that_cannot_be_read_counts_as_none() -> None:
    judge = Judge((a_metric(),), modes={"errors": {"compare": {"used": "many"}}})
    assert judge.log_e == 0
    assert judge.count(BAD, times=20).acted is not None


def test_bets_of_another_version_are_given_up_and_nothing_else() -> None:
    judge = Judge((a_metric(),)).count(BAD, times=4)
    state = judge.modes["errors"]["compare"]
    state["channels"]["errors"]["mixture"]["counts"].append(1e9)
    state["channels"]["errors"]["counted"].pop()
    state["offsets"].pop()
    blocks = state["channels"]["errors"]["mixture"]["blocks"]
    before = sum(blocks)
    judge.count(CALM)
    assert judge.log_e < math.log(100)
    assert sum(blocks) == before > 1
