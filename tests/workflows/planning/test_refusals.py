"""What no plan is made from, each with a reason and a sentence that says what to change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import a_baseline, a_release, a_template
from workflows.errors import PlanRefused
from workflows.model.target import SlotState, TargetState, TrafficState
from workflows.planning.guarded import unguarded
from workflows.planning.rollouts import rollout_plan

FOREIGN: dict[str, tuple[dict[str, Any], str]] = {
    "something beside stable": (
        {"slots": {**a_baseline().slots, "canary": SlotState(template=a_template("v9"), replicas=1)}},
        "v9 runs beside the stable version",
    ),
    "two versions in stable": (
        {"slots": {"stable": a_baseline().slot("stable").model_copy(update={"ready": {"digest-v1": 3, "other": 1}})}},
        "more than one version",
    ),
    "weights of somebody else": (
        {"traffic": TrafficState(weights={"stable": 90, "canary": 10})},
        "the router sends 90 % to stable, 10 % to canary",
    ),
    "maintenance": ({"traffic": TrafficState(weights={"maintenance": 100})}, "100 % to maintenance"),
    "a route that leads nowhere": ({"traffic": TrafficState()}, "the router sends nobody anywhere"),
    "no router at all": ({"traffic": None}, "the router sends nobody anywhere"),
    "a preview of somebody else": (
        {"traffic": TrafficState(weights={"stable": 100}, preview_to="canary")},
        "matched requests or the preview host lead to the slot beside stable",
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_target_in_other_hands_is_refused(case: str) -> None:
    change, sentence = FOREIGN[case]
    baseline = a_baseline().model_copy(update=change)
    with pytest.raises(PlanRefused, match=sentence) as refused:
        rollout_plan(a_release().component(), baseline)
    assert refused.value.reason == "ForeignState"
    assert "local/default/process/trip" in str(refused.value)


def test_users_led_to_an_empty_slot_are_refused_on_a_first_release_too() -> None:
    with pytest.raises(PlanRefused, match="where nothing runs"):
        rollout_plan(a_release().component(), TargetState(traffic=TrafficState(weights={"canary": 100})))


def test_an_unhealthy_running_version_is_refused_unless_the_release_fixes_forward() -> None:
    baseline = a_baseline(ready=2)
    with pytest.raises(PlanRefused, match="2 of 4 instances of the running version v1 are ready") as refused:
        rollout_plan(a_release().component(), baseline)
    assert refused.value.reason == "UnhealthyBaseline"
    assert rollout_plan(a_release().spec(fixForward=True).component(), baseline).steps


def test_a_rollback_does_not_need_a_healthy_running_version() -> None:
    assert rollout_plan(a_release().component(), a_baseline("v3", ready=0), kind="rollback").kind == "rollback"


def test_a_weight_that_pods_cannot_express_is_refused_with_those_that_they_can() -> None:
    for stages, sentence in (
        (
            (10,),
            "10 % cannot be expressed beside 5 instances .* are 1 of 6 pods, which is 16.67 %; .* to 6.67% or more",
        ),
        ((50, 60), "60 % cannot .* 7 of 12 pods, which is 58.33 % and 8 of 13 pods, which is 61.54 %; .* to 1.54% or"),
    ):
        with pytest.raises(PlanRefused, match=sentence) as refused:
            rollout_plan(a_release().canary(*stages).counted().component(), a_baseline(replicas=5))
        assert refused.value.reason == "Inexpressible"


def test_a_plan_without_a_metric_is_refused_where_policy_wants_one_and_names_the_interval() -> None:
    component = a_release().canary(5).unanalysed().component()
    with pytest.raises(PlanRefused, match=r"steps 3 to 17 \(from “Send 5 % of users") as refused:
        rollout_plan(component, a_baseline(), analysis_required=True)
    assert refused.value.reason == "UnguardedInterval"


def test_where_policy_does_not_want_a_metric_the_plan_warns() -> None:
    made = rollout_plan(a_release().canary(5).unanalysed().component(), a_baseline())
    assert "only checks and people guard users there" in made.warnings[0]


COMPARED = {"metrics": [{"name": "errors", "kind": "ratio", "source": "envoy", "compare": {}}]}


def test_a_comparison_guards_beside_the_old_version_and_afterwards_by_what_it_recorded() -> None:
    made = rollout_plan(a_release().canary(5, standby="none").component(), a_baseline())
    assert not unguarded(made.model_copy(update={"analysis": COMPARED}))


def test_a_comparison_guards_nobody_where_all_users_move_at_once() -> None:
    made = rollout_plan(a_release().canary(100).component(), a_baseline())
    (interval,) = unguarded(made.model_copy(update={"analysis": COMPARED}))
    assert interval.startswith("steps 3 to 14 (from “Send all users to v2 (canary)”")
