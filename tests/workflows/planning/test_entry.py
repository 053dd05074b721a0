"""Soft entry: few users first where evidence judges, behind the gate of the first stage, and below its weight."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import ReleaseBuilder, a_baseline, a_policy, a_release
from workflows.model.plan import Approve, Observe, RolloutPlan, Shift
from workflows.planning.rollouts import rollout_plan

EVIDENCE: dict[str, Any] = {"metrics": [{"name": "errors", "kind": "ratio", "source": "envoy", "compare": {}}]}


def plan(release: ReleaseBuilder) -> RolloutPlan:
    return rollout_plan(release.component(), a_baseline())


def stages(plan: RolloutPlan) -> list[tuple[float, float, bool]]:
    """The new version's weight, the seconds and whether it is the entry, of every stage."""
    found, weight = [], 0.0
    for step in plan.steps:
        if isinstance(step.action, Shift):
            weight = step.action.weights.get("canary", 0.0)
        if isinstance(step.action, Observe) and step.action.stage:
            found.append((weight, step.action.seconds, step.action.entry))
    return found


ENTRY = [(1, 20, True), (2, 20, True), (5, 20, True)]


def test_evidence_enters_softly_by_default() -> None:
    made = plan(a_release().canary(10, 50, observe="1m").with_(analysis=EVIDENCE))
    assert stages(made) == [*ENTRY, (10, 60, False), (50, 60, False)]
    assert [step.action.stage for step in made.steps if isinstance(step.action, Observe)] == [1, 2, 3, 4, 5, 0]


def test_rules_start_at_the_first_stage_unless_the_document_says_otherwise() -> None:
    assert stages(plan(a_release().canary(10)))[0] == (10, 600, False)
    assert stages(plan(a_release().canary(10, entry="soft")))[:3] == ENTRY


def test_literal_plan_starts_at_the_first_stage() -> None:
    assert len(stages(plan(a_release().canary(10, entry="none").with_(analysis=EVIDENCE)))) == 1


@pytest.mark.parametrize(("first", "weights"), [(1, []), (2, [1]), (5, [1, 2]), (3.5, [1, 2]), (100, [1, 2, 5])])
def test_entry_stays_below_the_first_stage(first: float, weights: list[float]) -> None:
    made = stages(plan(a_release().canary(first).with_(analysis=EVIDENCE)))
    assert [weight for weight, _, is_entry in made if is_entry] == weights


def test_gate_of_the_first_stage_opens_the_entry_and_is_asked_once() -> None:
    release = a_release().canary(10, 50).asking("production").with_(analysis=EVIDENCE)
    made = rollout_plan(release.component(a_policy().approval("production", "ann")), a_baseline())
    kinds = [type(step.action) for step in made.steps]
    assert kinds.count(Approve) == 1
    assert kinds.index(Approve) < kinds.index(Shift)


def test_policy_lets_every_canary_in_softly() -> None:
    component = a_release().canary(10).component(a_policy().floor("canary", entry="soft"))
    assert stages(rollout_plan(component, a_baseline()))[:3] == ENTRY
