"""The way back works from the mark alone: no history, another worker, another run."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from tests.activities.world import Load, Run, World, a_template
from workflows.contracts.targets import AcquireRequest, SettleRequest, UndoRequest
from workflows.contracts.traffic import RestoreRequest, ShiftRequest
from workflows.contracts.workloads import DeployRequest, RetireRequest, ScaleRequest, WaitReadyRequest
from workflows.errors import Fenced, NotReady
from workflows.model.plan import Deploy, Retire, Scale, Shift, Step, WaitReady
from workflows.model.target import Claim, Mark, Target, TrafficState

V1, V2 = a_template("v1"), a_template("v2")


async def carry_out(world: World, run: Run, target: Target, claim: Claim, *, step: Step) -> None:
    """One step of an undo, as a workflow would."""
    match step.action:
        case Shift(weights=weights, preview_to=preview, minimum_ready=minimum):
            await world.shift(run, target, claim, weights, preview_to=preview, minimum_ready=minimum)
        case Deploy(slot=slot, template=template, replicas=replicas, max_surge=surge, max_unavailable=unavailable):
            await world.deploy(
                run,
                target,
                claim,
                slot=slot,
                template=template,
                replicas=replicas,
                max_surge=surge,
                max_unavailable=unavailable,
            )
        case Scale(slot=slot, replicas=replicas):
            request = ScaleRequest(target=target, claim=claim, slot=slot, replicas=replicas, ready_within_seconds=20)
            await run.call(world.workloads.scale, request)
        case WaitReady(slot=slot, replicas=replicas):
            wait = WaitReadyRequest(target=target, claim=claim, slot=slot, replicas=replicas, timeout_seconds=20)
            await run.call(world.workloads.wait_ready, wait)
        case Retire(slot=slot):
            await world.retire(run, target, claim, slot)
        case other:
            raise AssertionError(other)


async def undo(world: World, run: Run, found: Mark) -> list[str]:
    """Undoes from the mark that is there and settles; the steps that it took."""
    target = found.target
    acquired = await run.call(world.targets.acquire, AcquireRequest(target=target))
    assert acquired.claim
    mark = acquired.mark
    assert mark
    steps: list[str] = []
    step = acquired.step
    while step:
        steps.append(step.action.kind)
        assert len(steps) < 20, steps
        await carry_out(world, run, target, acquired.claim, step=step)
        step = (await run.call(world.targets.next_undo, UndoRequest(target=target, mark=mark))).step
    if mark.baseline.traffic:
        restore = RestoreRequest(target=target, claim=acquired.claim, state=mark.baseline.traffic)
        assert (await run.call(world.traffic.restore, restore)).verification == "verified"
    await run.call(world.targets.settle, SettleRequest(target=target, claim=acquired.claim))
    return steps


async def half_way(world: World, run: Run, target: Target) -> Claim:
    """A canary that takes half of the users."""
    claim = await world.capture(run, target)
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    await world.shift(run, target, claim, {"stable": 50, "canary": 50}, preview_to="canary")
    return claim


async def test_a_lost_release_is_undone_from_its_mark_by_another_worker(routed: World) -> None:
    target = routed.target(match=[{"header": "canary", "exact": "true"}])
    await routed.stable(routed.run("run-1"), target)
    lost = routed.run("run-2")
    await half_way(routed, lost, target)
    routed.runs.close(lost.workflow_id, lost.run_id)

    worker = World(routed.directory)
    worker.rebuild(routed.envoy, routed.runs)
    third = worker.run("run-3")
    routed.runs.closed.discard((lost.workflow_id, None))
    async with Load(routed.url) as load:
        await load.reach(100)
        [found] = await third.call(worker.targets.find_marks)
        mark = await third.call(worker.targets.find_mark, target)
        await undo(worker, third, found.mark)
        await load.reach(load.total + 200)
    assert load.lost == {}
    state = await third.call(worker.targets._inspect, target)
    assert mark
    assert state.traffic == mark.baseline.traffic
    assert state.slot("canary").is_empty
    assert state.slot("stable").ready == {V1.digest: 1}
    assert await third.call(worker.targets.find_marks) == []


async def test_a_first_release_is_undone_to_nothing(routed: World) -> None:
    target, run = routed.target(), routed.run()
    claim = await routed.capture(run, target)
    await routed.deploy(run, target, claim, slot="stable", template=V2, replicas=1)
    await routed.shift(run, target, claim, {"stable": 100})
    [found] = await run.call(routed.targets.find_marks)
    await undo(routed, run, found.mark)
    state = await run.call(routed.targets._inspect, target)
    assert state.traffic == TrafficState()
    assert state.slot("stable").is_empty
    assert routed.running() == []


async def test_an_undo_brings_a_dead_stable_back_before_users(routed: World) -> None:
    target = routed.target()
    await routed.stable(routed.run("run-1"), target)
    run = routed.run("run-2")
    claim = await half_way(routed, run, target)
    await routed.deploy(run, target, claim, slot="stable", template=V1, replicas=0)
    with pytest.raises(NotReady):
        await routed.shift(run, target, claim, {"stable": 100})
    [found] = await run.call(routed.targets.find_marks)
    steps = await undo(routed, run, found.mark)
    assert steps.index("scale") < steps.index("shift")
    assert (await run.call(routed.targets._inspect, target)).slot("stable").ready == {V1.digest: 1}


async def test_a_replacement_without_room_for_one_more_is_undone_without_it(world: World) -> None:
    world.process = world.process.model_copy(update={"limit": 2})
    world.rebuild(world.envoy, world.runs)
    target, run = world.target(traffic="none"), world.run("run-2")
    await world.stable(world.run("run-1"), target, replicas=2)
    claim = await world.capture(run, target)
    pace = {"max_surge": 0, "max_unavailable": 1}
    assert (await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2, **pace)).ready
    mark = await run.call(world.targets.find_mark, target)
    assert mark
    assert await undo(world, run, mark) == ["deploy"]
    assert (await run.call(world.targets._inspect, target)).slot("stable").ready == {V1.digest: 2}


async def test_a_zombies_late_write_is_refused_on_every_object(routed: World) -> None:
    target = routed.target()
    await routed.stable(routed.run("run-1"), target)
    zombie = routed.run("run-2")
    claim = await half_way(routed, zombie, target)
    heir = routed.run("run-3")
    await heir.call(routed.targets.acquire, AcquireRequest(target=target))
    before = await heir.call(routed.targets._inspect, target)
    files = {path: path.read_bytes() for path in routed.directory.rglob("*.json")}
    baseline = TrafficState(weights={"stable": 100})
    writes: list[tuple[Callable[..., Awaitable[object]], object]] = [
        (routed.workloads.deploy, DeployRequest(target=target, claim=claim, slot="stable", template=V2, replicas=1)),
        (routed.workloads.scale, ScaleRequest(target=target, claim=claim, slot="canary", replicas=5)),
        (routed.workloads.wait_ready, WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=1)),
        (routed.workloads.retire, RetireRequest(target=target, claim=claim, slot="stable")),
        (routed.traffic.shift, ShiftRequest(target=target, claim=claim, weights={"canary": 100})),
        (routed.traffic.restore, RestoreRequest(target=target, claim=claim, state=baseline)),
        (routed.targets.settle, SettleRequest(target=target, claim=claim)),
    ]
    for method, request in writes:
        with pytest.raises(Fenced, match="run-3"):
            await zombie.call(method, request)
    assert {path: path.read_bytes() for path in routed.directory.rglob("*.json")} == files
    assert (await heir.call(routed.targets._inspect, target)).slots == before.slots


async def test_a_mark_of_a_newer_version_of_headgate_can_be_undone(routed: World) -> None:
    target, run = routed.target(), routed.run()
    await routed.stable(run, target)
    await half_way(routed, routed.run("run-2"), target)
    state = routed.directory / "services" / "test" / "trip" / "state.json"
    content = json.loads(state.read_text())
    content["mark"]["target"]["somethingNew"] = content["mark"]["baseline"]["another"] = {"x": 1}
    state.write_text(json.dumps(content))
    [found] = await run.call(routed.targets.find_marks)
    await undo(routed, routed.run("run-3"), found.mark)
    assert (await run.call(routed.targets._inspect, target)).weight("stable") == 100


async def test_one_unreadable_state_file_hides_no_other_mark(world: World) -> None:
    target, run = world.target(traffic="none"), world.run()
    await world.capture(run, target)
    broken = world.directory / "services" / "test" / "broken"
    broken.mkdir()
    (broken / "state.json").write_text("{")
    assert len(await run.call(world.targets.find_marks)) == 1
