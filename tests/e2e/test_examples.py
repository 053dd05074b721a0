"""Every example is right, can be planned, and leaves no minute unguarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.demo.scenarios import FIRST, SCENARIOS, examples
from cli.reading import Overrides, read_policy, read_release
from tests.builders import a_baseline
from worker.settings import load
from workflows.model.plan import Deploy, Observe, ReleasePlan, RolloutPlan, RunChecks, Shift
from workflows.planning.guarded import unguarded
from workflows.planning.releases import release_plan
from workflows.planning.rollouts import rollout_plan

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
RELEASES = sorted(
    path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("*/*.yaml") if path.name != "policy.yaml"
)


def policy_of(name: str) -> Path:
    own = EXAMPLES / Path(name).parent / "policy.yaml"
    return own if own.exists() else EXAMPLES / "policy.yaml"


def planned(name: str, environment: str | None = None) -> ReleasePlan:
    release = read_release(EXAMPLES / name, Overrides(environment=environment))
    return release_plan(release, read_policy(policy_of(name)))


def rollouts(plan: ReleasePlan) -> list[RolloutPlan]:
    """What a release would do where four instances of an old version serve everybody."""
    old = a_baseline("v0.9.0")
    return [rollout_plan(component, old, analysis_required=plan.analysis_required) for component in plan.components]


def weights(plan: RolloutPlan) -> list[float]:
    """Percent of the users on the new version, shift by shift, up to the first time it has them all."""
    shifts = [step.action.weights for step in plan.steps if isinstance(step.action, Shift)]
    found = [w.get("canary", 0.0) for w in shifts]
    return found[: found.index(100) + 1] if 100 in found else found


def observed(plan: RolloutPlan) -> list[float]:
    return [step.action.seconds for step in plan.steps if isinstance(step.action, Observe)]


@pytest.mark.parametrize("name", RELEASES)
def test_every_example_can_be_planned_and_is_guarded(name: str) -> None:
    (rollout,) = rollouts(planned(name))
    assert rollout.steps
    assert not unguarded(rollout)


@pytest.mark.parametrize("name", [name for name in RELEASES if name != "stateful/agent.yaml"])
def test_every_example_can_be_a_first_release(name: str) -> None:
    plan = planned(name)
    (component,) = plan.components
    assert rollout_plan(component, a_baseline(None)).kind == "initial"


def test_r0_3_has_its_stages_and_windows() -> None:
    (rollout,) = rollouts(planned("r0.3/release.yaml"))
    assert weights(rollout) == [5, 25, 50, 100]
    assert observed(rollout) == [600, 900, 1200, 1800, 1800]


def test_r0_5_has_a_strategy_for_each_environment() -> None:
    kinds = {name: rollouts(planned("r0.5/release.yaml", name))[0].kind for name in ("staging", "canary", "production")}
    assert kinds == {"staging": "rolling", "canary": "canary", "production": "blueGreen"}
    gates = {name: planned("r0.5/release.yaml", name).components[0].gate for name in kinds}
    assert [name for name, gate in gates.items() if gate] == ["production"]


def test_r0_9_leads_the_validation_host_first_and_switches_everybody_once() -> None:
    (rollout,) = rollouts(planned("r0.9/release.yaml"))
    shifts = [step.action for step in rollout.steps if isinstance(step.action, Shift)]
    assert [(shift.weights, shift.preview_to) for shift in shifts] == [
        ({"stable": 100}, "canary"),
        ({"canary": 100}, "canary"),
        ({"stable": 100}, None),
    ]
    assert observed(rollout) == [0, 1800]


def test_r1_1_has_a_strategy_for_each_stage_of_maturity() -> None:
    plans = {name: rollouts(planned("r1.1/release.yaml", name))[0] for name in ("development", "staging", "production")}
    assert [plan.kind for plan in plans.values()] == ["rolling", "blueGreen", "canary"]
    assert weights(plans["production"]) == [5, 20, 50, 100]


def test_r2_1_goes_up_in_six_steps_and_updates_blue() -> None:
    (rollout,) = rollouts(planned("r2.1/release.yaml"))
    assert weights(rollout) == [10, 30, 50, 70, 90, 100]
    assert rollout.steps[-1].summary.startswith("Drain and remove")


def test_r2_8_makes_a_profile_and_finds_places_before_users_come() -> None:
    (rollout,) = rollouts(planned("r2.8/release.yaml"))
    asked = [check for step in rollout.steps if isinstance(step.action, RunChecks) for check in step.action.checks]
    assert [(check.get("method"), check.get("contains")) for check in asked] == [
        (None, None),
        ("POST", "profileId"),
        (None, "places"),
    ]
    assert weights(rollout) == [100]


def test_r3_1_sends_users_away_before_anything_stops() -> None:
    (rollout,) = rollouts(planned("r3.1/release.yaml"))
    first = rollout.steps[0].action
    assert isinstance(first, Shift)
    assert first.weights == {"maintenance": 100}


def test_r0_7_leads_the_header_to_the_canary_and_divides_before_it_has_a_pod() -> None:
    (rollout,) = rollouts(planned("r0.7/release.yaml"))
    first, second = rollout.steps[0].action, next(s.action for s in rollout.steps if isinstance(s.action, Deploy))
    assert isinstance(first, Shift)
    assert first.weights == {"stable": 100, "canary": 0}
    assert second.slot == "canary"
    previewed = next(s.action for s in rollout.steps if isinstance(s.action, Shift) and s.action.preview_to)
    assert previewed.weights == {"stable": 100}
    last = rollout.steps[-1].action
    assert isinstance(last, Shift), "the subsets go after the last pod of the canary"
    assert "callers outside the mesh reach Service trip-service directly" in rollout.warnings[0]


def test_r3_4_has_its_six_stages() -> None:
    (rollout,) = rollouts(planned("r3.4/release.yaml"))
    assert weights(rollout)[1:] == [5, 10, 25, 50, 75, 100]


def test_r4_2_gets_the_weights_that_pods_beside_five_can_express() -> None:
    (component,) = planned("r4.2/release.yaml").components
    rollout = rollout_plan(component, a_baseline("v1.3.0", replicas=5, routed=False), analysis_required=True)
    shares = [step.action.weights.get("canary", 0) for step in rollout.steps if isinstance(step.action, Shift)]
    assert shares == [16.67, 50, 0]
    assert observed(rollout) == [300, 300, 300, 600]
    assert rollout.warnings == ("profile-service: 10 % is asked for; it gets 1 of 6 pods, which is 16.67 %",)


def test_every_scenario_of_the_demo_is_an_example() -> None:
    assert examples() == EXAMPLES
    for scenario in (FIRST, *SCENARIOS.values()):
        assert scenario.file.is_file()


def test_the_settings_of_the_examples_are_right() -> None:
    assert load(EXAMPLES / "settings-web.yaml", {}).metrics
    settings = load(EXAMPLES / "settings.yaml", {})
    assert settings.policy == EXAMPLES / "policy.yaml"
