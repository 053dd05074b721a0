"""Where users are held to one version, the plan says so and reads metrics less often."""

from __future__ import annotations

from datetime import timedelta

from tests.builders import ERRORS, a_baseline, a_release
from workflows.model.analysis import Analysis
from workflows.model.plan import RolloutPlan
from workflows.model.shapes import carried
from workflows.model.target import TargetState
from workflows.planning.rollouts import rollout_plan

AFFINITY = "sessionAffinity ClientIP of the Service"


def held() -> TargetState:
    baseline = a_baseline()
    assert baseline.traffic
    return baseline.model_copy(update={"traffic": baseline.traffic.model_copy(update={"affinity": AFFINITY})})


def plan(baseline: TargetState, **analysis: object) -> RolloutPlan:
    rule = {"rollback": "1%", "interval": "2s"}
    release = a_release().with_(analysis={"metrics": [ERRORS | {"rule": rule}], "tick": "1s", **analysis})
    return rollout_plan(release.component(), baseline)


def test_users_who_are_held_lengthen_the_tick_and_all_that_must_not_be_shorter() -> None:
    made = plan(held(), patience="5s")
    assert made.warnings[0].startswith(f"trip: {AFFINITY} holds users to one version")
    analysis = carried(Analysis, made.analysis or {})
    ten = timedelta(seconds=10)
    assert (analysis.tick, analysis.patience, analysis.metrics[0].rule and analysis.metrics[0].rule.interval) == (
        ten,
    ) * 3


def test_steps_of_kayenta_are_lengthened_too() -> None:
    canary = ERRORS | {"canary": {}, "rule": {"rollback": "1%", "interval": "1m"}}
    made = plan(held(), judge="kayenta", kayenta={"step": "2s", "interval": "5m"}, metrics=[canary])
    assert carried(Analysis, made.analysis or {}).scoring.step == timedelta(seconds=10)


def test_a_longer_tick_stays_as_it_is() -> None:
    made = plan(held(), tick="15s", metrics=[ERRORS | {"rule": {"rollback": "1%", "interval": "1m"}}])
    assert made.analysis
    assert made.analysis["tick"] == "15s"
    assert made.analysis["metrics"][0]["rule"]["interval"] == "1m"


def test_where_nobody_is_held_nothing_changes() -> None:
    made = plan(a_baseline())
    assert not made.warnings
    assert made.analysis
    assert made.analysis["tick"] == "1s"
