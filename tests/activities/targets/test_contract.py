"""Marks, fences and settlement, the same on every pair of workload and router."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.boundary import implement
from activities.targets.activities import planned
from tests.activities.world import Run, World, a_release, a_template
from tests.builders import a_baseline
from tests.builders import a_release as wanted
from workflows.contracts.targets import (
    AcquireRequest,
    Captured,
    CaptureRequest,
    FindPromoted,
    SettleRequest,
    TargetActivities,
)
from workflows.errors import Fenced
from workflows.model.target import Claim, Promoted, Target, TargetState

V1, V2 = a_template("v1"), a_template("v2")
PAIRS = [
    pytest.param(("process", "envoy"), id="process behind envoy"),
    pytest.param(("process", "none"), id="process without router"),
    pytest.param(("null", "none"), id="null"),
    pytest.param(("kubernetes", "none"), id="kubernetes without router", marks=pytest.mark.cluster),
]


@pytest.fixture(params=PAIRS)
async def world(world: World, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    world.kinds = request.param
    async with AsyncExitStack() as stack:
        if "envoy" in request.param:
            world.start_envoy()
        if "kubernetes" in request.param:
            await stack.enter_async_context(world.kubernetes(request.getfixturevalue("kubeconfig")))
        yield world


@pytest.fixture
def target(world: World) -> Target:
    return world.target()


@pytest.fixture
def run(world: World) -> Run:
    return world.run()


async def capture(world: World, run: Run, target: Target, version: str = "v2", **more: Any) -> Captured:
    request = CaptureRequest(target=target, release=a_release(version), template=a_template(version), **more)
    return await run.call(world.targets.capture, request)


def a_record(target: Target, version: str, **more: object) -> Promoted:
    return Promoted.model_validate(
        {
            "target": target,
            "environment": "test",
            "release": "trip",
            "version": version,
            "template": a_template(version),
            **more,
        }
    )


async def release(world: World, run_id: str, target: Target, version: str, **record: object) -> None:
    """A release of a version that changes nothing but the records."""
    run = world.run(run_id)
    captured = await capture(world, run, target, version, again=True, restart=True)
    assert captured.claim, captured.message
    request = SettleRequest(target=target, claim=captured.claim, promoted=a_record(target, version, **record))
    await run.call(world.targets.settle, request)


async def test_a_capture_records_the_baseline_and_marks_the_target(world: World, run: Run, target: Target) -> None:
    await world.stable(run, target)
    captured = await capture(world, world.run("run-2"), target)
    assert captured.status == "captured"
    assert captured.baseline.slot("stable").ready == {V1.digest: 1}
    assert captured.baseline.weight("stable") == (100 if target.is_routed else 0)
    assert captured.mark
    assert captured.mark.baseline == captured.baseline
    assert (captured.mark.rollout_run_id, captured.mark.version) == ("run-2", "v2")
    [found] = await run.call(world.targets.find_marks)
    assert (found.mark.release, found.mark.rollout_run_id, found.orphaned) == (captured.mark.release, "run-2", False)


async def test_a_mark_whose_release_alone_has_ended_is_forsaken(world: World, run: Run, target: Target) -> None:
    await world.stable(run, target)
    mark = (await capture(world, run, target)).mark
    assert mark
    assert not (await run.call(world.targets.find_marks))[0].forsaken
    world.runs.close(mark.release.workflow_id, "run-1")
    [found] = await run.call(world.targets.find_marks)
    assert (found.forsaken, found.orphaned) == (True, False)
    world.runs.close(target.rollout_id, mark.rollout_run_id)
    [found] = await run.call(world.targets.find_marks)
    assert (found.forsaken, found.orphaned) == (False, True)


async def test_an_answer_with_a_thousand_marks_is_one_that_temporal_takes(
    world: World, run: Run, target: Target
) -> None:
    """It refuses payloads above 2 MB; a Deployment's pod template in a baseline takes some KB of it."""
    await world.stable(run, target)
    await capture(world, run, target)
    [found] = await run.call(world.targets.find_marks)
    assert found.mark.baseline == TargetState()
    assert 1000 * len(found.model_dump_json()) < 2_000_000


async def test_a_second_attempt_answers_what_the_first_recorded(world: World, run: Run, target: Target) -> None:
    first = await capture(world, run, target)
    assert first.claim
    await world.deploy(run, target, first.claim, slot="canary", template=V2, replicas=1)
    assert await capture(world, run, target) == first


async def test_an_open_runs_mark_holds_the_target(world: World, run: Run, target: Target) -> None:
    first = await capture(world, run, target)
    held = await capture(world, world.run("run-2"), target, "v3")
    assert (held.status, held.claim) == ("held", None)
    assert "run-1" in held.holder
    assert (await capture(world, run, target)).claim == first.claim


async def test_a_closed_runs_mark_is_an_orphan_and_no_baseline(world: World, run: Run, target: Target) -> None:
    first = await capture(world, run, target)
    world.runs.close(run.workflow_id, run.run_id)
    second = await capture(world, world.run("run-2"), target, "v3")
    assert (second.status, second.claim, second.mark) == ("orphaned", None, first.mark)


async def test_a_mark_is_orphaned_only_when_nobody_holds_the_lock(world: World, run: Run, target: Target) -> None:
    await capture(world, run, target)
    world.runs.closed.add((run.workflow_id, run.run_id))
    [found] = await run.call(world.targets.find_marks)
    assert not found.orphaned
    world.runs.close(run.workflow_id, run.run_id)
    [found] = await run.call(world.targets.find_marks)
    assert found.orphaned


async def test_a_mark_of_another_temporal_namespace_is_nobody_elses_orphan(
    world: World, run: Run, target: Target
) -> None:
    world.runs.namespace = "elsewhere"
    await world.capture(run, target)
    world.runs.namespace = "default"
    world.runs.close(run.workflow_id, run.run_id)
    [found] = await run.call(world.targets.find_marks)
    assert not found.orphaned
    second = await capture(world, world.run("run-2"), target, "v3")
    assert second.status == "held"
    assert "in the Temporal namespace elsewhere" in second.message


async def test_a_mark_that_is_settled_while_it_is_looked_at_is_no_orphan(world: World, target: Target) -> None:
    """A run settles and ends between the look at its mark and the question whether it still runs."""
    run = world.run()
    claim = await world.capture(run, target)
    is_open = world.runs.is_open

    async def settle_first(workflow_id: str, run_id: str | None) -> bool:
        await run.call(world.targets.settle, SettleRequest(target=target, claim=claim))
        world.runs.close(run.workflow_id, run.run_id)
        return await is_open(workflow_id, run_id)

    world.runs.is_open = settle_first  # type: ignore[method-assign]
    [found] = await run.call(world.targets.find_marks)
    assert not found.orphaned


async def test_a_run_that_settles_an_orphan_releases_afterwards(world: World, run: Run, target: Target) -> None:
    lost = await capture(world, run, target)
    world.runs.close(run.workflow_id, run.run_id)
    second = world.run("run-2")
    assert (await capture(world, second, target, "v3")).status == "orphaned"
    request = AcquireRequest(target=target, purpose="restore", rollout_run=run.run_id)
    acquired = await second.call(world.targets.acquire, request)
    assert acquired.mark == lost.mark
    assert acquired.claim
    await second.call(world.targets.settle, SettleRequest(target=target, claim=acquired.claim))
    assert (await capture(world, second, target, "v3")).status == "captured"


async def test_a_target_that_runs_exactly_this_is_left_alone(world: World, run: Run, target: Target) -> None:
    await world.stable(run, target)
    second = world.run("run-2")
    found = await capture(world, second, target, "v1")
    assert (found.status, found.claim, found.mark) == ("running", None, None)
    assert await run.call(world.targets.find_marks) == []
    assert (await capture(world, second, target, "v1", restart=True)).status == "captured"


async def test_a_version_that_was_rolled_back_here_needs_again(world: World, target: Target) -> None:
    await release(world, "run-1", target, "v2", outcome="rolledBack")
    refused = await capture(world, world.run("run-2"), target)
    assert (refused.status, refused.claim) == ("refused", None)
    assert "v2 was rolled back" in refused.message
    assert (await capture(world, world.run("run-2"), target, again=True)).status == "captured"


async def test_only_the_newest_record_of_a_version_counts(world: World, target: Target) -> None:
    await release(world, "run-1", target, "v2", outcome="rolledBack")
    await release(world, "run-2", target, "v2", outcome="promoted")
    assert (await capture(world, world.run("run-3"), target)).status == "captured"


async def test_settling_takes_the_mark_away_and_keeps_the_version_once(world: World, run: Run, target: Target) -> None:
    claim = await world.capture(run, target)
    request = SettleRequest(target=target, claim=claim, promoted=a_record(target, "v2"))
    for _ in range(3):
        await run.call(world.targets.settle, request)
    assert await run.call(world.targets.find_marks) == []
    [kept] = await run.call(world.targets.find_promoted, FindPromoted(environment="test", release="trip"))
    assert kept.version == "v2"
    assert kept.at


async def test_settling_needs_the_exact_claim_while_there_is_a_mark(world: World, run: Run, target: Target) -> None:
    claim = await world.capture(run, target)
    undo = await world.capture_undo(run, target)
    with pytest.raises(Fenced):
        await run.call(world.targets.settle, SettleRequest(target=target, claim=claim))
    assert len(await run.call(world.targets.find_marks)) == 1
    await run.call(world.targets.settle, SettleRequest(target=target, claim=undo))
    await run.call(world.targets.settle, SettleRequest(target=target, claim=claim))


async def test_the_last_ten_of_each_outcome_are_kept_newest_first(world: World, target: Target) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(12):
        when = {"at": start + timedelta(days=number)}
        await release(world, f"good-{number}", target, f"v{number}", **when)
        await release(world, f"bad-{number}", target, f"x{number}", outcome="rolledBack", **when)
    request = FindPromoted(environment="test", release="trip")
    found = await world.run().call(world.targets.find_promoted, request)
    assert [kept.version for kept in found if kept.outcome == "promoted"] == [f"v{n}" for n in range(11, 1, -1)]
    assert len([kept for kept in found if kept.outcome == "rolledBack"]) == 10
    assert await world.run().call(world.targets.find_promoted, FindPromoted(environment="x", release="trip")) == []


async def test_an_acquired_target_shows_mark_state_and_the_first_step_back(
    world: World, run: Run, target: Target
) -> None:
    await world.stable(run, target)
    second = world.run("run-2")
    claim = await world.capture(second, target)
    await world.deploy(second, target, claim, slot="stable", template=V2, replicas=1)
    acquired = await second.call(world.targets.acquire, AcquireRequest(target=target))
    assert acquired.claim
    assert acquired.claim.epoch > claim.epoch
    assert acquired.state.slot("stable").ready == {V2.digest: 1}
    assert acquired.mark
    assert acquired.mark.baseline.slot("stable").ready == {V1.digest: 1}
    assert acquired.step
    again = await second.call(world.targets.acquire, AcquireRequest(target=target))
    assert (again.claim, again.mark) == (acquired.claim, acquired.mark)


async def test_a_settled_target_has_nothing_to_undo(world: World, run: Run, target: Target) -> None:
    await world.stable(run, target)
    acquired = await run.call(world.targets.acquire, AcquireRequest(target=target))
    assert (acquired.mark, acquired.step) == (None, None)


async def test_a_run_that_has_ended_claims_nothing_from_its_successor(world: World, run: Run, target: Target) -> None:
    await world.capture(run, target)
    second = world.run("run-2")
    claim = await world.capture_undo(second, target)
    world.runs.closed.add((run.workflow_id, run.run_id))
    with pytest.raises(Fenced, match="has ended"):
        await world.capture_undo(run, target)
    await world.deploy(second, target, claim, slot="canary", template=V2, replicas=1)


async def test_a_late_capture_does_not_fence_the_same_runs_undo(world: World, run: Run, target: Target) -> None:
    await world.capture(run, target)
    undo = await world.capture_undo(run, target)
    with pytest.raises(Fenced, match="undoing already"):
        await capture(world, run, target)
    await run.call(world.targets.settle, SettleRequest(target=target, claim=undo))


@pytest.mark.parametrize("intruder", ["run-reset", "run-other"])
async def test_the_claim_of_one_run_is_worthless_to_another(
    world: World, run: Run, target: Target, *, intruder: str
) -> None:
    claim: Claim = await world.capture(run, target)
    workflow = run.workflow_id if intruder == "run-reset" else "rollout/other"
    with pytest.raises(Fenced, match="another run"):
        await world.run(intruder, workflow).call(world.targets.settle, SettleRequest(target=target, claim=claim))
    assert len(await run.call(world.targets.find_marks)) == 1


def test_the_contract_is_implemented_in_full(world: World) -> None:
    assert len(implement(TargetActivities, world.targets)) == len(TargetActivities.__abstractmethods__)


async def test_an_undo_leaves_the_fence_of_somebody_elses_mark_alone(world: World, target: Target) -> None:
    run = world.run("run-1")
    await world.stable(run, target)
    second = world.run("run-2")
    claim = await world.capture(second, target)
    other = AcquireRequest(target=target, release_run="another-release")
    acquired = await world.run("run-3").call(world.targets.acquire, other)
    assert (acquired.claim, acquired.mark, acquired.step) == (None, None, None)
    await world.deploy(second, target, claim, slot="canary", template=V2, replicas=1)


async def test_a_capture_plans_from_the_baseline_it_recorded(world: World, run: Run, target: Target) -> None:
    await world.stable(run, target)
    component = wanted().component().model_copy(update={"target": target, "template": V2})
    captured = await capture(world, world.run("run-2"), target, component=component)
    assert captured.planned is not None
    assert captured.planned.plan is not None, captured.planned.message
    assert captured.planned.plan.baseline == captured.baseline
    assert await capture(world, world.run("run-2"), target, component=component) == captured


def test_a_rollout_that_cannot_be_planned_is_a_value(target: Target) -> None:
    component = wanted().component()
    request = CaptureRequest(target=target, release=a_release("v2"), template=V2, component=component)
    refused = planned(request, a_baseline(ready=1))
    assert refused is not None
    assert (refused.plan, refused.reason) == (None, "UnhealthyBaseline")
