"""The next step back, state by state."""

from __future__ import annotations

import pytest

from tests.builders import a_baseline, a_release, a_template
from workflows.model.plan import Deploy, Retire, Scale, Shift, WaitReady
from workflows.model.target import Backend, Slot, SlotState, Target, TargetState, TrafficState
from workflows.planning.costs import describe_undo, undo_path
from workflows.planning.rollouts import rollout_plan
from workflows.planning.undo import next_undo_step

OLD, NEW = a_template("v1"), a_template("v2")
ROUTED = a_release().component().target
EXCLUSIVE = a_release().recreate().component().target


def slot(replicas: int, *, wants: str = "v1", **ready: int) -> SlotState:
    """A slot that wants a version and has ready instances by version."""
    digests = {a_template(version).digest: count for version, count in ready.items()}
    return SlotState(template=a_template(wants), replicas=replicas, ready=digests, running=sum(ready.values()))


def seen(
    stable: SlotState | None = None,
    canary: SlotState | None = None,
    /,
    *,
    preview: Slot | None = None,
    **weights: float,
) -> TargetState:
    shares: dict[Backend, float] = {"stable": 0, "canary": 0, "maintenance": 0}
    shares = {backend: weights[backend] for backend in shares if backend in weights}
    slots: dict[Slot, SlotState] = {"stable": stable or SlotState(), "canary": canary or SlotState()}
    return TargetState(slots=slots, traffic=TrafficState(weights=shares or {"stable": 100}, preview_to=preview))


FULL_OLD, FULL_NEW = slot(4, v1=4), slot(4, wants="v2", v2=4)

STATES: dict[str, tuple[TargetState, object]] = {
    "nothing happened": (seen(FULL_OLD), None),
    "a canary without users": (seen(FULL_OLD, slot(1, wants="v2")), Retire(slot="canary")),
    "a preview": (
        seen(FULL_OLD, slot(1, wants="v2", v2=1), preview="canary"),
        Shift(weights={"stable": 100}, minimum_ready={}),
    ),
    "users on the canary": (
        seen(FULL_OLD, FULL_NEW, stable=50, canary=50),
        Shift(weights={"stable": 100}, minimum_ready={"stable": 4}),
    ),
    "a stable version that shrank": (
        seen(slot(4, v1=3), FULL_NEW, stable=50, canary=50),
        Shift(weights={"stable": 75, "canary": 25}, minimum_ready={"stable": 3}),
    ),
    "a stable version that shrank, users moved": (
        seen(slot(4, v1=3), FULL_NEW, stable=75, canary=25),
        WaitReady(slot="stable", replicas=4),
    ),
    "a stable version that somebody scaled down": (
        seen(slot(3, v1=3), FULL_NEW, stable=75, canary=25),
        Scale(slot="stable", replicas=4),
    ),
    "a stable version that is being scaled down": (
        seen(slot(0, v1=4), maintenance=100),
        Scale(slot="stable", replicas=4),
    ),
    "a canary that died while it had users": (
        seen(slot(4, v1=1), slot(4, wants="v2"), canary=100),
        Shift(weights={"stable": 100}, minimum_ready={"stable": 1}),
    ),
    "a stable version in replacement without users": (
        seen(slot(4, wants="v2", v1=2, v2=2), FULL_NEW, canary=100),
        Deploy(slot="stable", template=OLD, replicas=4, max_surge=0, max_unavailable=4),
    ),
    "users on both, both new": (
        seen(FULL_NEW, FULL_NEW, stable=50, canary=50),
        Shift(weights={"canary": 100}, minimum_ready={}),
    ),
    "users on a new stable beside a standby": (
        seen(FULL_NEW, FULL_OLD),
        Shift(weights={"canary": 100}, minimum_ready={"canary": 4}),
    ),
    "users on the standby": (
        seen(FULL_NEW, FULL_OLD, canary=100),
        Deploy(slot="stable", template=OLD, replicas=4, max_surge=0, max_unavailable=4, drain_seconds=30),
    ),
    "half a standby": (
        seen(FULL_NEW, slot(4, v1=2)),
        Shift(weights={"canary": 50, "stable": 50}, minimum_ready={"canary": 2}),
    ),
    "a canary in replacement by the standby": (
        seen(FULL_NEW, slot(4, v1=0, v2=4)),
        Deploy(slot="stable", template=OLD, replicas=4, max_surge=4, max_unavailable=0),
    ),
    "a new stable alone": (
        seen(FULL_NEW),
        Deploy(slot="stable", template=OLD, replicas=4, max_surge=4, max_unavailable=0),
    ),
    "a rolling replacement half way back": (seen(slot(4, v1=2, v2=2)), WaitReady(slot="stable", replicas=4)),
    "a stable workload that is gone": (
        seen(None, FULL_NEW, canary=100),
        Deploy(slot="stable", template=OLD, replicas=4, max_surge=0, max_unavailable=4),
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_the_next_step_back(state: str) -> None:
    observed, expected = STATES[state]
    step = next_undo_step(a_baseline(), observed, ROUTED)
    assert (step.action if step else None) == expected
    assert step is None or (step.phase == "RollingBack" and step.summary.startswith("Undo: "))


def test_a_switched_service_waits_until_the_old_version_carries_everybody() -> None:
    switched = a_release().blue_green().switched().component().target
    observed = seen(slot(4, v1=3), FULL_NEW, canary=100)
    step = next_undo_step(a_baseline(), observed, switched)
    assert step
    assert step.action == WaitReady(slot="stable", replicas=4)
    step = next_undo_step(a_baseline(), seen(slot(4, v1=3), canary=100), switched)
    assert step
    assert step.action == Shift(weights={"stable": 100}, minimum_ready={"stable": 3}), "nobody answers elsewhere"


@pytest.mark.parametrize("traffic", [{"router": "nginx"}, {"router": "ingress", "path": "/trips"}])
def test_a_slot_that_users_need_whatever_its_weight_is_never_emptied(traffic: dict[str, str]) -> None:
    target = a_release().blue_green().behind(ingress="shop", **traffic).component().target
    step = next_undo_step(a_baseline(), seen(FULL_NEW, FULL_NEW, canary=100), target)
    assert step
    assert step.action == Deploy(slot="stable", template=OLD, replicas=4, max_surge=4, max_unavailable=0)


EXCLUSIVELY: list[tuple[TargetState, object]] = [
    (seen(FULL_NEW), Shift(weights={"maintenance": 100})),
    (seen(FULL_NEW, maintenance=100), Scale(slot="stable", replicas=0, drain_seconds=30)),
    (seen(slot(0, wants="v2", v2=4), maintenance=100), WaitReady(slot="stable", replicas=0)),
    (
        seen(slot(0, wants="v2"), maintenance=100),
        Deploy(slot="stable", template=OLD, replicas=4, max_surge=0, max_unavailable=4),
    ),
    (seen(slot(4), maintenance=100), WaitReady(slot="stable", replicas=4)),
    (
        seen(slot(4, v1=1), maintenance=100),
        Shift(weights={"stable": 25, "maintenance": 75}, minimum_ready={"stable": 1}),
    ),
    (seen(FULL_OLD, stable=25, maintenance=75), Shift(weights={"stable": 100}, minimum_ready={"stable": 4})),
    (seen(FULL_OLD), None),
]


@pytest.mark.parametrize(("observed", "expected"), EXCLUSIVELY)
def test_versions_that_must_not_meet_are_exchanged_behind_the_maintenance_answer(
    observed: TargetState, expected: object
) -> None:
    step = next_undo_step(a_baseline(), observed, EXCLUSIVE)
    assert (step.action if step else None) == expected


def test_a_first_release_is_taken_away_behind_the_maintenance_answer() -> None:
    path = undo_path(a_baseline(None), seen(FULL_NEW), ROUTED)
    assert [step.action for step in path] == [Shift(weights={"maintenance": 100}), Retire(slot="stable")]


def test_a_workload_that_was_scaled_to_nothing_is_the_users_own_and_stays() -> None:
    baseline = TargetState(slots={"stable": SlotState(template=OLD)}, traffic=TrafficState())
    path = undo_path(baseline, seen(FULL_NEW), ROUTED)
    assert [step.action for step in path] == [
        Shift(weights={"maintenance": 100}),
        Deploy(slot="stable", template=OLD, replicas=0, drain_seconds=30),
    ]


def test_without_a_router_users_follow_the_instances() -> None:
    target = Target(**{**ROUTED.model_dump(), "traffic": {"kind": "none"}})
    observed = seen(FULL_NEW).model_copy(update={"traffic": None})
    baseline = a_baseline(routed=False)
    assert [type(step.action) for step in undo_path(baseline, observed, target)] == [Deploy]


def test_an_old_version_that_was_dead_before_gets_its_wishes_back_and_no_users() -> None:
    baseline = a_baseline(ready=0)
    untouched = seen(slot(4), slot(1, wants="v2", v2=1))
    assert [type(s.action) for s in undo_path(baseline, untouched, ROUTED)] == [Retire]
    exposed = seen(slot(4), FULL_NEW, stable=50, canary=50)
    blocked = next_undo_step(baseline, exposed, ROUTED)
    assert blocked is not None
    assert isinstance(blocked.action, WaitReady)


def test_what_stood_beside_stable_before_the_release_is_not_taken_away() -> None:
    beside = seen(FULL_OLD, slot(1, wants="v0", v0=1))
    assert next_undo_step(beside, beside, ROUTED) is None


def test_status_can_say_what_an_undo_would_do_now() -> None:
    plan = rollout_plan(a_release().canary(10).component(), a_baseline())
    told = [describe_undo(plan, step) for step in range(-1, len(plan.steps))]
    assert told[0] == "there is nothing to undo"
    assert told[1] == "users are not affected; only what was started for this release is removed"
    assert told[3] == "one write to the router brings all users back"
    assert told[9] == "4 instances of v1 must start before all users are back"


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (
            slot(3, wants="v2", v1=1, v2=2),
            Deploy(slot="stable", template=OLD, replicas=4, max_surge=0, max_unavailable=1),
        ),
        (slot(3, v1=2), WaitReady(slot="stable", replicas=3)),
        (slot(3, v1=3), None),
        (slot(5, v1=5), None),
    ],
    ids=["the new version", "one that starts", "all on fewer nodes", "all on more nodes"],
)
def test_an_undo_leaves_the_number_of_a_daemonsets_pods_to_the_nodes(state: SlotState, wanted: object) -> None:
    target = a_release().of("daemonSet").with_(strategy={"kind": "rolling"}).component().target
    baseline = seen(slot(4, v1=4)).model_copy(update={"traffic": None})
    step = next_undo_step(baseline, baseline.model_copy(update={"slots": {"stable": state}}), target)
    assert (step.action if step else None) == wanted
