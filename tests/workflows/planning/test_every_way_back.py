"""Every strategy, walked forward event by event, and undone from every point of the way."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import ReleaseBuilder, a_baseline, a_release
from tests.workflows.planning.simulation import (
    Moment,
    Undo,
    check_alone,
    check_arms,
    check_kept,
    check_users,
    forward,
    is_at,
)
from workflows.model.plan import Deploy, Observe, RolloutPlan, Shift, WaitReady
from workflows.model.target import Autoscaler, TargetState
from workflows.planning.guarded import unguarded
from workflows.planning.rollouts import rollout_plan
from workflows.planning.undo import next_undo_step

STRATEGIES = {
    "canary": a_release().canary(5, 25, 50, 100),
    "simple canary": a_release().canary(10),
    "canary without standby": a_release().canary(20, 60, standby="none"),
    "canary with a fixed size": a_release().canary(5, 50).with_(capacity=3),
    "previewed canary": a_release().canary(5, 50).matched().previewed().checked(),
    "blue-green": a_release().blue_green(),
    "gradual blue-green": a_release().blue_green(10, 30, 50, 70, 90, 100),
    "previewed blue-green": a_release().blue_green().previewed(),
    "switched blue-green": a_release().blue_green().switched(),
    "switched recreate": a_release().recreate().switched(),
    "blue-green by one path of an Ingress": a_release().blue_green().behind("ingress", ingress="shop", path="/trips"),
    "canary by ingress-nginx": a_release().canary(5, 50).behind("nginx", ingress="shop"),
    "canary by ingress-nginx without standby": a_release().canary(50, standby="none").behind("nginx", ingress="shop"),
    "canary by replicas": a_release().canary(10, 50, 100).counted(tolerance="40%"),
    "rolling by replicas": a_release().rolling().counted(),
    "rolling": a_release().rolling(surge=2, unavailable=1),
    "rolling without extra instances": a_release().rolling(surge=0, unavailable=1).unrouted(),
    "rolling without a router": a_release().rolling().unrouted(),
    "rolling of a StatefulSet": a_release().rolling(surge=0, unavailable=2).of("statefulSet"),
    "recreate": a_release().recreate(),
    "recreate without a router": a_release().recreate().unrouted(),
}


def plan_of(release: ReleaseBuilder, baseline: TargetState, *, kind: str = "release") -> RolloutPlan:
    component = release.component()
    routed = component.target.is_routed or component.target.is_counted
    state = baseline if routed else baseline.model_copy(update={"traffic": None})
    return rollout_plan(component, state, kind="rollback" if kind == "rollback" else "release", analysis_required=True)


def ends_well(plan: RolloutPlan, moment: Moment) -> bool:
    """The new version runs in the user's own workload with everybody; beside it there is nothing."""
    state, digest = moment.world.observe(), plan.template.digest
    stable = state.slot("stable")
    size = plan.baseline.slot("stable").replicas or 1
    return (
        stable.template == plan.template
        and stable.is_purely(digest)
        and (stable.ready_of(digest) >= size if plan.baseline.autoscalers else stable.ready_of(digest) == size)
        and state.slot("canary").is_empty
        and (state.traffic is None or (state.traffic.weights == {"stable": 100} and state.traffic.preview_to is None))
    )


def check_capacity(plan: RolloutPlan, moment: Moment, *, is_proportional: bool) -> None:
    """Where a second version stands beside the first, each has the instances that its share of the users needs."""
    world, size = moment.world, plan.baseline.slot("stable").replicas
    if plan.kind not in ("canary", "blueGreen", "rollback") or world.traffic is None or plan.target.exclusive:
        return
    for slot, weight in world.traffic.weights.items():
        if is_proportional or weight == 100 or slot == "stable":
            assert slot != "maintenance"
            assert sum(world.slots[slot].ready.values()) >= weight * size / 100, (moment.step.summary, slot)


def check_old_version(plan: RolloutPlan, moment: Moment) -> None:
    """The old version keeps its captured size until the promotion, and again through the watch."""
    old = plan.baseline.slot("stable").template
    if plan.kind not in ("canary", "blueGreen") or old is None:
        return
    moved = next(i for i, s in enumerate(plan.steps) if isinstance(s.action, Deploy) and s.action.slot == "stable")
    is_standby = isinstance(moment.step.action, Observe) and moment.step.action.stage == 0 and moment.step.old
    if moment.index < moved or is_standby:
        ready = sum(content.ready.get(old.digest, 0) for content in moment.world.slots.values())
        assert ready >= plan.baseline.slot("stable").replicas, moment.step.summary


def walk(plan: RolloutPlan, seed: int, *, is_proportional: bool = True) -> list[Moment]:
    """The way forward, checked at every moment; the moments are copies that can be undone from."""
    old = plan.baseline.slot("stable").template
    moments = []
    for moment in forward(plan, Random(seed)):
        where = moment.step.summary
        check_users(moment.world, where)
        check_kept(plan, moment.world, where)
        check_arms(moment, plan.template.digest, old.digest if old else "")
        check_capacity(plan, moment, is_proportional=is_proportional)
        check_old_version(plan, moment)
        if plan.target.exclusive:
            check_alone(moment.world, where)
        moments.append(Moment(moment.world.copy(), moment.index, moment.step))
    return moments


@pytest.mark.parametrize("kind", ["release", "rollback"])
@pytest.mark.parametrize("replicas", [None, 1, 4], ids=["nothing ran", "1 replica", "4 replicas"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_ends_with_the_new_version_for_everybody_and_can_be_undone_from_every_point(
    strategy: str, replicas: int | None, kind: str
) -> None:
    version = "v1" if replicas else None
    plan = plan_of(STRATEGIES[strategy], a_baseline(version, replicas=replicas or 1), kind=kind)
    moments = walk(plan, seed=1, is_proportional="fixed" not in strategy)
    assert ends_well(plan, moments[-1])
    for moment in moments:
        for is_patient in (True, False):
            undo = Undo(plan, moment.world.copy(), Random(2), is_patient)
            undo.run()
            assert is_at(undo.world, plan.baseline), (moment.step.summary, undo.world)


@pytest.mark.parametrize("kind", ["release", "rollback"])
@pytest.mark.parametrize(
    "strategy", [name for name in STRATEGIES if "by replicas" not in name and "Stateful" not in name]
)
def test_an_autoscaler_that_never_rests_stands_in_no_ones_way(strategy: str, kind: str) -> None:
    hpa = Autoscaler(kind="HorizontalPodAutoscaler", name="trip", maximum=9, fields={"minimum": 2})
    baseline = a_baseline(replicas=4).model_copy(update={"autoscalers": (hpa,)})
    plan = plan_of(STRATEGIES[strategy], baseline, kind=kind)
    moments = walk(plan, seed=1, is_proportional="fixed" not in strategy)
    assert ends_well(plan, moments[-1])
    for seed, moment in enumerate(moments):
        undo = Undo(plan, moment.world.copy(), Random(seed), is_patient=bool(seed % 2))
        undo.run()
        assert is_at(undo.world, plan.baseline), (moment.step.summary, undo.world)


@pytest.mark.parametrize("is_dead", [False, True], ids=["runs", "never gets ready"])
@pytest.mark.parametrize(
    ("release", "replicas"),
    [
        (a_release().rolling(surge=0, unavailable=1).unrouted(), 1),
        (a_release().rolling(surge=0, unavailable=1).unrouted(), 4),
        (a_release().rolling(surge=1, unavailable=1).unrouted(), 4),
        (a_release().rolling(surge=0, unavailable=2), 4),
    ],
    ids=["the only one", "one less", "one less or more", "two less behind a router"],
)
def test_a_replacement_without_room_for_one_more_is_undone_without_it(
    release: ReleaseBuilder, replicas: int, is_dead: bool
) -> None:
    """As with a quota that is used up, ports of nodes, or volumes of one node."""
    plan = plan_of(release, a_baseline(replicas=replicas))
    for moment in forward(plan, Random(1), room=replicas):
        for seed in range(3):
            world = moment.world.copy()
            world.dead = frozenset({plan.template.digest}) if is_dead else frozenset()
            undo = Undo(plan, world, Random(seed))
            undo.run()
            assert is_at(undo.world, plan.baseline), (moment.step.summary, undo.world)


@st.composite
def releases(draw: st.DrawFn) -> ReleaseBuilder:
    cents = draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=4, unique=True))
    weights = [cent / 100 for cent in sorted(cents)]
    standby = draw(st.sampled_from(["previous", "none"]))
    release = draw(
        st.sampled_from(
            [
                a_release().canary(*weights, standby=standby),
                a_release().canary(*[w for w in weights if w < 100] or [50]).counted(tolerance="100%"),
                a_release().blue_green(*[w for w in weights if w < 100], 100),
                a_release().rolling(surge=draw(st.integers(1, 3)), unavailable=draw(st.integers(0, 3))),
                a_release().recreate(),
            ]
        )
    )
    kind = release.components[0]["strategy"]["kind"]
    if kind in ("rolling", "recreate"):
        return release.unrouted() if draw(st.booleans()) else release
    if release.component().target.is_counted:
        return release
    if draw(st.booleans()):
        release = release.previewed()
    if draw(st.booleans()):
        release = release.matched()
    capacity = draw(st.sampled_from([None, 1, 3]))
    return release.with_(capacity=capacity) if capacity else release


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    release=releases(),
    replicas=st.integers(0, 7),
    seed=st.integers(0, 2**32),
    point=st.integers(0),
    patient=st.booleans(),
)
def test_any_release_interrupted_anywhere_returns_to_its_baseline(
    release: ReleaseBuilder, replicas: int, seed: int, point: int, patient: bool
) -> None:
    plan = plan_of(release, a_baseline("v1" if replicas else None, replicas=replicas))
    moments = walk(plan, seed, is_proportional="capacity" not in release.components[0])
    assert ends_well(plan, moments[-1])
    assert not unguarded(plan)
    undo = Undo(plan, moments[point % len(moments)].world, Random(seed), patient)
    undo.run()
    assert is_at(undo.world, plan.baseline)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    release=releases(),
    replicas=st.integers(1, 6),
    seed=st.integers(0, 2**32),
    point=st.integers(0),
    crashes=st.lists(st.tuples(st.sampled_from(["stable", "canary"]), st.integers(1, 6)), min_size=1, max_size=3),
)
def test_instances_that_crash_before_and_during_an_undo_only_delay_it(
    release: ReleaseBuilder, replicas: int, seed: int, point: int, crashes: list[tuple[str, int]]
) -> None:
    plan = plan_of(release, a_baseline(replicas=replicas))
    moments = walk(plan, seed, is_proportional="capacity" not in release.components[0])
    world, random = moments[point % len(moments)].world, Random(seed)
    undo = CrashingUndo(plan, world, random, is_patient=False, crashes=list(crashes))
    undo.run()
    assert is_at(undo.world, plan.baseline)


class CrashingUndo(Undo):
    """Instances fall over now and then; the router refuses what they no longer carry, and the undo asks again."""

    def __init__(
        self, plan: RolloutPlan, world: object, random: Random, *, is_patient: bool, crashes: list[tuple[str, int]]
    ) -> None:
        super().__init__(plan, world, random, is_patient)  # type: ignore[arg-type]
        self.crashes = crashes

    def _check(self, step: object) -> None:
        if self.crashes and self.random.random() < 0.5:
            slot, count = self.crashes.pop()
            self.world.crash(slot, count)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if "recreate" not in s and "rolling " not in s])
def test_an_old_version_that_cannot_start_any_more_leaves_users_where_they_are(strategy: str) -> None:
    plan = plan_of(STRATEGIES[strategy], a_baseline(replicas=4))
    old = plan.baseline.slot("stable").template
    assert old is not None
    last = walk(plan, seed=3)[-1].world
    last.dead = frozenset({old.digest})
    undo = Undo(plan, last, Random(4), is_patient=True)
    with pytest.raises(AssertionError, match="nothing can make this true"):
        undo.run()
    step = undo._next()
    assert step is not None
    assert isinstance(step.action, WaitReady)
    check_users(last, "blocked")
    assert last.slots["stable"].ready.get(plan.template.digest)


def test_undo_begins_with_one_write_to_the_router_except_while_the_new_version_moves_into_stable() -> None:
    plan = plan_of(STRATEGIES["canary"], a_baseline())
    deploys = [i for i, step in enumerate(plan.steps) if isinstance(step.action, Deploy)]
    moving = range(deploys[1], deploys[2] + 2)
    for moment in walk(plan, seed=5):
        if moment.step.new and moment.index not in moving and moment.step.phase != "Committing":
            step = next_undo_step(plan.baseline, moment.world.observe(), plan.target)
            assert step is not None
            assert isinstance(step.action, Shift), (moment.step.summary, step.summary)
