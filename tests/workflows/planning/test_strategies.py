"""What each strategy emits, as people read it: the reference systems' rows R0.3, R0.4, R2.1, R3.1 and R3.2."""

from __future__ import annotations

import pytest

from tests.builders import ReleaseBuilder, a_baseline, a_policy, a_release
from workflows.errors import PlanRefused
from workflows.model.plan import Approve, Barrier, Deploy, Observe, Retire, RolloutPlan, RunChecks, Scale, Shift
from workflows.model.target import Autoscaler, TargetState
from workflows.planning.by_replicas import nearest
from workflows.planning.rollouts import rollout_plan


def plan(release: ReleaseBuilder, baseline: TargetState | None = None, **more: object) -> RolloutPlan:
    policy = a_policy().approval("production", "ann@example.com") if more.pop("asks", False) else a_policy()
    return rollout_plan(release.component(policy), baseline or a_baseline(), **more)  # type: ignore[arg-type]


def lines(plan: RolloutPlan) -> list[str]:
    return [step.summary for step in plan.steps]


GROUP = "Wait until every component of the release has passed its last stage"
COMMIT = "Wait until every component of the release has finished its watch; until then all of it can be undone"


def test_r0_3_full_canary() -> None:
    stages = [(5, "10m"), (25, "15m"), (50, "20m"), (100, "30m")]
    strategy = {"kind": "canary", "stages": [{"weight": w, "observe": o} for w, o in stages]}
    made = plan(a_release().with_(strategy=strategy), a_baseline(replicas=4))
    assert lines(made) == [
        "Start 1 instance of v2 (canary)",
        "Wait until 1 instance of v2 (canary) is ready",
        "Send 5 % of users to v2 (canary), 95 % to v1 (stable)",
        "Observe v2 at 5 % for 10m (stage 1)",
        "Send 25 % of users to v2 (canary), 75 % to v1 (stable)",
        "Observe v2 at 25 % for 15m (stage 2)",
        "Scale v2 (canary) to 2 instances",
        "Wait until 2 instances of v2 (canary) are ready",
        "Send 50 % of users to v2 (canary), 50 % to v1 (stable)",
        "Observe v2 at 50 % for 20m (stage 3)",
        "Scale v2 (canary) to 4 instances",
        "Wait until 4 instances of v2 (canary) are ready",
        "Send all users to v2 (canary)",
        "Observe v2 at 100 % for 30m (stage 4)",
        GROUP,
        "Drain and replace v1 by 4 instances of v2 (stable)",
        "Wait until 4 instances of v2 (stable) are ready",
        "Send 50 % of users to v2 (canary), 50 % to v2 (stable)",
        "Send all users to v2 (stable)",
        "Drain and replace v2 by 4 instances of v1 (canary)",
        "Wait until 4 instances of v1 (canary) are ready",
        "Watch v2 with all users for 30m; v1 (canary) stands by at full size",
        COMMIT,
        "Drain and remove v1 (canary)",
    ]
    assert made.peak_replicas == 9
    assert made.undo == (
        "Undo is one write to the router, except in steps 16 to 19: there 4 instances of v1 must start before all "
        "users are back"
    )


def test_r0_3_simple_canary_goes_from_10_percent_to_everybody() -> None:
    made = plan(a_release().canary(10, observe="15m", watch="0s"), a_baseline(replicas=10))
    assert lines(made)[:7] == [
        "Start 1 instance of v2 (canary)",
        "Wait until 1 instance of v2 (canary) is ready",
        "Send 10 % of users to v2 (canary), 90 % to v1 (stable)",
        "Observe v2 at 10 % for 15m (stage 1)",
        GROUP,
        "Scale v2 (canary) to 10 instances",
        "Wait until 10 instances of v2 (canary) are ready",
    ]


def test_blue_green_by_a_switched_service_never_divides_users() -> None:
    made = plan(a_release().blue_green().switched())
    shifts = [step.action.weights for step in made.steps if isinstance(step.action, Shift)]
    assert shifts == [{"canary": 100}, {"stable": 100}]


@pytest.mark.parametrize(("host", "watched"), [(None, ("canary",)), ("a.example.com", ("stable", "canary"))])
def test_users_of_paths_that_are_not_switched_are_watched_while_they_get_the_new_version(
    host: str | None, watched: tuple[str, ...]
) -> None:
    more = {"host": host} if host else {}
    made = plan(a_release().blue_green().behind("ingress", ingress="shop", **more))
    (replaced,) = [s for s in made.steps if isinstance(s.action, Deploy) and s.action.slot == "stable"]
    assert replaced.new == watched


def test_r0_4_blue_green_with_validation_host_approval_and_30_minutes_of_watch() -> None:
    release = a_release().blue_green(observe="0s").asking("production").previewed().checked()
    assert lines(plan(release, asks=True)) == [
        "Start 4 instances of v2 (canary)",
        "Wait until 4 instances of v2 (canary) are ready",
        "Keep all users on v1 (stable); matched requests and the preview host reach v2 (canary)",
        "Run 1 check against every instance of v2 (canary)",
        "Wait for approval: production (1 of production-people)",
        "Send all users to v2 (canary)",
        "Observe v2 at 100 %, without waiting (stage 1)",
        GROUP,
        "Watch v2 with all users for 30m; v1 (stable) stands by at full size",
        "Drain and replace v1 by 4 instances of v2 (stable)",
        "Wait until 4 instances of v2 (stable) are ready",
        "Send 50 % of users to v2 (canary), 50 % to v2 (stable)",
        "Send all users to v2 (stable)",
        COMMIT,
        "Drain and remove v2 (canary)",
    ]


def test_r2_1_gradual_blue_green_ends_with_the_new_version_in_blue() -> None:
    made = plan(a_release().blue_green(10, 30, 50, 70, 90, 100, observe="60s"))
    shifts = [step.action.weights for step in made.steps if isinstance(step.action, Shift)]
    assert [weights.get("canary", 0) for weights in shifts] == [10, 30, 50, 70, 90, 100, 50, 0]
    assert [s.action.seconds for s in made.steps if isinstance(s.action, Observe) and s.action.stage] == [60] * 6
    updated = next(s.action for s in made.steps if isinstance(s.action, Deploy) and s.action.slot == "stable")
    assert updated.template == made.template


def test_r3_1_recreate() -> None:
    release = a_release().recreate(timeout="300s").checked()
    assert lines(plan(release)) == [
        "Send all users to the maintenance answer",
        "Drain and stop v1 (stable)",
        "Wait until stable has stopped",
        "Start 4 instances of v2 (stable)",
        "Wait until 4 instances of v2 (stable) are ready",
        "Run 1 check against every instance of v2 (stable)",
        "Send all users to v2 (stable)",
        GROUP,
        "Watch v2 with all users for 10m",
        COMMIT,
    ]


def test_r3_2_rolling() -> None:
    made = plan(a_release().rolling(surge=2, unavailable=1, timeout="600s").checked())
    assert lines(made) == [
        "Replace v1 by 4 instances of v2 (stable)",
        "Wait until 4 instances of v2 (stable) are ready",
        "Run 1 check against every instance of v2 (stable)",
        GROUP,
        "Watch v2 with all users for 10m",
        COMMIT,
    ]
    deploy = made.steps[0].action
    assert isinstance(deploy, Deploy)
    assert (deploy.max_surge, deploy.max_unavailable) == (2, 1)
    assert made.steps[1].action.timeout_seconds == 600  # type: ignore[union-attr]
    assert made.peak_replicas == 6
    assert made.undo == "4 instances of v1 must start before all users are back, from step 1 on"


def test_r4_2_canary_by_replica_ratio_is_honest_about_the_weights_that_pods_express() -> None:
    made = plan(a_release().canary(10, 50, 100, observe="5m").counted(tolerance="10%"), a_baseline(replicas=5))
    assert lines(made) == [
        "Start 1 instance of v2 (canary)",
        "Wait until 1 instance of v2 (canary) is ready",
        "Send 16.67 % of users to v2 (canary), 83.33 % to v1 (stable)",
        "Observe v2 at 16.67 % for 5m (stage 1)",
        "Scale v2 (canary) to 5 instances",
        "Wait until 5 instances of v2 (canary) are ready",
        "Send 50 % of users to v2 (canary), 50 % to v1 (stable)",
        "Observe v2 at 50 % for 5m (stage 2)",
        GROUP,
        "Replace v1 by 5 instances of v2 (stable)",
        "Wait until 5 instances of v2 (stable) are ready",
        "Drain and remove v2 (canary)",
        "Send all users to v2 (stable)",
        "Observe v2 at 100 % for 5m (stage 3)",
        "Watch v2 with all users for 30m",
        COMMIT,
    ]
    assert made.warnings[0] == "trip: 10 % is asked for; it gets 1 of 6 pods, which is 16.67 %"
    assert made.undo == (
        "Undo ends the instances of the new version, except in steps 10 to 16: there 5 instances of v1 must start "
        "before all users are back"
    )


def test_copies_of_requests_come_after_the_gates_and_end_with_the_first_users() -> None:
    release = a_release().canary(10).asking("production").checked()
    release = release.behind("gatewayApi", httpRoute="trip", mirror={"percent": 20})
    made = plan(release, asks=True)
    first = next(step for step in made.steps if isinstance(step.action, Shift))
    assert isinstance(first.action, Shift)
    assert (first.action.mirror, first.action.preview_to, first.new) == (20, "canary", ("canary",))
    assert first.summary.endswith("; 20 % of the requests are copied there, and what it writes for them happens twice")
    later = [step.action.mirror for step in made.steps if isinstance(step.action, Shift) and step != first]
    assert later
    assert not any(later)


def test_without_a_router_the_guard_and_the_gates_come_with_the_first_pod() -> None:
    release = a_release().canary(50).counted().asking("production")
    first, second, third, *_ = plan(release, asks=True).steps
    assert isinstance(first.action, Approve)
    assert isinstance(second.action, Deploy)
    assert (first.new, second.new, third.old) == ((), ("canary",), ("stable",))


@pytest.mark.parametrize(
    ("weight", "size", "tolerance", "pods"),
    [
        (50, 5, 0, 5),
        (10, 9, 0, 1),
        (25, 3, 0, 1),
        (60, 4, 0, 6),
        (10, 5, 7, 1),
        (30, 5, 2, 2),
        (30, 5, 8, 2),
        (34, 10, 2, 5),
        (10, 5, 6, None),
        (30, 5, 0, None),
        (1, 1, 40, None),
    ],
)
def test_pods_express_a_weight_rounding_down(weight: float, size: int, tolerance: float, pods: int | None) -> None:
    ratio = nearest(weight, size, tolerance=tolerance)
    assert (ratio.canary if ratio else None) == pods


def test_a_first_release_has_nothing_to_compare_with_and_asks_every_gate_before_users_come() -> None:
    release = a_release().canary(5, 50).asking("production", before=1).checked()
    workload = {"kind": "process", "service": "trip", "replicas": 3}
    made = plan(release.with_(workload=workload), a_baseline(None), asks=True)
    assert made.kind == "initial"
    assert lines(made) == [
        "Start 3 instances of v2 (stable)",
        "Wait until 3 instances of v2 (stable) are ready",
        "Run 1 check against every instance of v2 (stable)",
        "Wait for approval: production (1 of production-people)",
        "Send all users to v2 (stable)",
        GROUP,
        "Watch v2 with all users for 30m",
        COMMIT,
    ]
    assert all(step.old == () for step in made.steps)


def test_a_rollback_switches_at_once_after_120_seconds_at_most_and_watches_for_as_long() -> None:
    made = plan(a_release().canary(5, 25).checked().version("v1"), a_baseline("v2"), kind="rollback")
    assert made.kind == "rollback"
    assert lines(made)[:7] == [
        "Start 4 instances of v1 (canary)",
        "Wait until 4 instances of v1 (canary) are ready",
        "Run 1 check against every instance of v1 (canary)",
        "Send all users to v1 (canary)",
        "Observe v1 at 100 %, without waiting (stage 1)",
        GROUP,
        "Watch v1 with all users for 2m; v2 (stable) stands by at full size",
    ]
    assert made.steps[1].action.timeout_seconds == 120  # type: ignore[union-attr]
    assert not any(isinstance(step.action, Approve) for step in made.steps)


@pytest.mark.parametrize(
    ("release", "drained"),
    [
        (a_release().canary(5, 100), ["stable", "canary", "canary"]),
        (a_release().blue_green(), ["stable", "canary"]),
        (a_release().recreate(), ["stable"]),
        (a_release().recreate().unrouted(), []),
        (a_release().rolling(), []),
        (a_release().canary(50).counted(), []),
    ],
    ids=["canary", "blue-green", "recreate", "recreate without a router", "rolling", "replicas"],
)
def test_instances_that_users_have_left_are_drained_before_they_go(release: ReleaseBuilder, drained: list[str]) -> None:
    actions = [step.action for step in plan(release.with_(drain="5m") if drained else release).steps]
    taken = [action for action in actions if isinstance(action, Deploy | Scale | Retire) and action.drain_seconds]
    assert [(action.slot, action.drain_seconds) for action in taken] == [(slot, 300) for slot in drained]


@pytest.mark.parametrize(
    ("release", "first_exposed"),
    [
        (a_release().canary(5), "Send 5 % of users to v2 (canary), 95 % to v1 (stable)"),
        (a_release().canary(5).matched(), "Keep all users on v1 (stable); matched requests and the preview host"),
        (a_release().blue_green(), "Send all users to v2 (canary)"),
        (a_release().rolling(), "Replace v1 by 4 instances of v2 (stable)"),
        (a_release().recreate(), "Send all users to v2 (stable)"),
        (a_release().recreate().unrouted(), "Start 4 instances of v2 (stable)"),
    ],
    ids=["canary", "a match", "blue-green", "rolling", "recreate", "recreate without a router"],
)
def test_a_gate_that_no_stage_names_comes_before_users_first_reach_the_new_version(
    release: ReleaseBuilder, first_exposed: str
) -> None:
    baseline = a_baseline(routed=release.component().target.is_routed)
    made = plan(release, baseline, asks=True)
    asked = next(i for i, step in enumerate(made.steps) if isinstance(step.action, Approve))
    exposed = next(i for i, step in enumerate(made.steps) if step.new)
    assert asked < exposed
    assert made.steps[exposed].summary.startswith(first_exposed)


def test_approvers_can_look_at_the_preview() -> None:
    made = plan(a_release().canary(5).previewed().checked(), asks=True)
    kinds = [type(step.action) for step in made.steps]
    assert kinds.index(Shift) < kinds.index(RunChecks) < kinds.index(Approve)


@pytest.mark.parametrize(
    ("weight", "size", "instances"), [(1, 4, 1), (25, 4, 1), (26, 4, 2), (50, 3, 2), (0.5, 200, 1)]
)
def test_capacity_follows_the_weight_and_is_never_nothing(weight: float, size: int, instances: int) -> None:
    first = plan(a_release().canary(weight), a_baseline(replicas=size)).steps[0].action
    assert isinstance(first, Deploy)
    assert first.replicas == instances


def test_a_fixed_capacity_holds_in_stages_and_grows_for_everybody() -> None:
    made = plan(a_release().canary(5, 50).with_(capacity=2), a_baseline(replicas=6))
    scaled = [step.action.replicas for step in made.steps if isinstance(step.action, Scale)]
    assert (made.steps[0].action.replicas, scaled) == (2, [6])  # type: ignore[union-attr]


def test_a_restart_of_the_same_version_replaces_every_instance() -> None:
    component = a_release().rolling().component()
    running = a_baseline()
    same = component.template
    stable = running.slot("stable").model_copy(update={"template": same, "ready": {same.digest: 4}})
    made = rollout_plan(component, running.model_copy(update={"slots": {"stable": stable}}))
    assert (made.template.version, made.template.body) == (same.version, same.body)
    assert made.template.digest != same.digest
    assert made.steps[0].new == ("stable",)


def test_without_a_standby_the_canary_leaves_before_the_watch() -> None:
    made = plan(a_release().canary(5, standby="none"))
    kinds = [type(step.action) for step in made.steps]
    assert kinds[-3:] == [Retire, Observe, Barrier]


def test_rolling_never_takes_all_instances_and_says_so() -> None:
    made = plan(a_release().rolling(surge=1, unavailable=3), a_baseline(replicas=2))
    assert made.steps[0].action.max_unavailable == 1  # type: ignore[union-attr]
    assert made.warnings == ("trip: maxUnavailable 3 would take all of 2 instances; 1 is used",)


def test_replacing_the_only_instance_without_another_is_refused() -> None:
    with pytest.raises(PlanRefused, match="leaves nobody to serve users; use maxSurge 1, or recreate") as refused:
        plan(a_release().rolling(surge=0, unavailable=1), a_baseline(replicas=1))
    assert refused.value.reason == "UsersUnserved"


def test_an_observer_learns_the_comparison_arm_only_while_it_surely_runs_the_old_version() -> None:
    made = plan(a_release().canary(50))
    arms = {step.summary: (step.new, step.old) for step in made.steps}
    assert arms["Observe v2 at 50 % for 10m (stage 1)"] == (("canary",), ("stable",))
    assert arms["Drain and replace v1 by 4 instances of v2 (stable)"] == (("canary",), ())
    assert arms["Send 50 % of users to v2 (canary), 50 % to v2 (stable)"] == (("stable", "canary"), ())
    assert arms["Wait until 4 instances of v1 (canary) are ready"] == (("stable",), ())
    watch = "Watch v2 with all users for 30m; v1 (canary) stands by at full size"
    assert arms[watch] == (("stable",), ("canary",))


@pytest.mark.parametrize(
    ("sort", "strategy", "pace"),
    [
        ("statefulSet", {}, (0, 1)),
        ("statefulSet", {"maxUnavailable": 3}, (0, 3)),
        ("daemonSet", {}, (1, 0)),
        ("daemonSet", {"maxUnavailable": 2}, (0, 2)),
        ("daemonSet", {"maxSurge": 2}, (2, 0)),
    ],
)
def test_pods_with_a_name_or_a_node_of_their_own_are_replaced_as_their_controller_can(
    sort: str, strategy: dict[str, int], pace: tuple[int, int]
) -> None:
    release = a_release().of(sort).with_(strategy={"kind": "rolling", **strategy})
    for kind in ("release", "rollback"):
        [deploy, *_] = plan(release, a_baseline(routed=False), kind=kind).steps
        assert isinstance(deploy.action, Deploy)
        if kind == "release":
            assert (deploy.action.max_surge, deploy.action.max_unavailable) == pace
        assert deploy.action.slot == "stable"


def test_the_only_pod_of_a_routed_statefulset_is_not_taken_away() -> None:
    release = a_release().of("statefulSet").with_(strategy={"kind": "rolling"})
    release = release.with_(traffic={"kind": "service", "service": "trip"})
    with pytest.raises(PlanRefused, match="leaves nobody to serve users; run a second one"):
        plan(release, a_baseline(replicas=1))
    assert plan(release, a_baseline(replicas=2)).steps


def test_a_routed_statefulset_goes_back_to_an_earlier_version_in_place() -> None:
    release = a_release().of("statefulSet").with_(strategy={"kind": "rolling"})
    release = release.with_(traffic={"kind": "service", "service": "trip"})
    made = plan(release, a_baseline(), kind="rollback")
    assert {step.action.slot for step in made.steps if isinstance(step.action, Deploy)} == {"stable"}


def test_a_daemonset_without_a_node_is_refused() -> None:
    release = a_release().of("daemonSet").with_(strategy={"kind": "rolling"})
    with pytest.raises(PlanRefused, match="no node runs its DaemonSet") as refused:
        plan(release, a_baseline(None, routed=False))
    assert refused.value.reason == "UnhealthyBaseline"


HPA = Autoscaler(kind="HorizontalPodAutoscaler", name="trip", maximum=9, fields={"minimum": 2})


def scaled(release: ReleaseBuilder, **fields: object) -> RolloutPlan:
    baseline = a_baseline(replicas=4).model_copy(update={"autoscalers": (HPA.model_copy(update=fields),)})
    return plan(release, baseline)


def test_a_share_follows_what_an_autoscaler_makes_of_stable() -> None:
    made = scaled(a_release().canary(5, 25))
    sized = [step for step in made.steps if isinstance(step.action, Deploy | Scale)]
    assert [(s.action.slot, s.action.replicas, s.action.share) for s in sized] == [  # type: ignore[union-attr]
        ("canary", 1, 5),
        ("canary", 1, 5),
        ("canary", 1, 25),
        ("canary", 4, 100),
        ("stable", 4, 100),
        ("canary", 4, 100),
    ]
    assert sized[2].summary == "Scale v2 (canary) to 25 % of stable, at least 1 instance"


def test_a_fixed_size_is_not_followed_until_everybody_comes() -> None:
    made = scaled(a_release().canary(5, 25).with_(capacity=3))
    shares = [step.action.share for step in made.steps if isinstance(step.action, Deploy | Scale)]
    assert shares == [0, 100, 100, 100]


def test_without_an_autoscaler_numbers_are_what_they_were() -> None:
    actions = [step.action for step in plan(a_release().canary(5, 25, 100)).steps]
    assert not any(action.share for action in actions if isinstance(action, Deploy | Scale))


def test_an_autoscaler_that_measures_both_versions_is_named() -> None:
    made = scaled(a_release().canary(5), shared=("queue_length",))
    [warning] = made.warnings
    assert warning.startswith("trip: HorizontalPodAutoscaler trip follows queue_length, which may count what both")
    assert scaled(a_release().rolling(), shared=("queue_length",)).warnings == ()


def test_a_weight_that_is_a_number_of_pods_is_not_left_to_an_autoscaler() -> None:
    with pytest.raises(PlanRefused, match="changes the number of pods, which is the weight here") as refused:
        scaled(a_release().canary(50, 100).counted())
    assert refused.value.reason == "Inexpressible"
