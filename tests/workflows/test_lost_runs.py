"""Terminate, reset, lost runs: whoever is left restores the target, and a later release is never touched."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle

from tests.temporal import a_dev_server, unique
from tests.workflows.lab import PATIENCE, Lab, Trial, a_lab
from tests.workflows.test_interruptions import count_activities, is_promoted, same, settled
from worker.probe import TemporalRuns


async def run_janitor(lab: Lab) -> int:
    result = await lab.client.execute_workflow(
        "Janitor", id=f"headgate-janitor-{unique('round')}", task_queue=lab.queue, result_type=int
    )
    assert isinstance(result, int)
    return result


async def terminate_both(trial: Trial) -> None:
    run = (await trial.rollout.describe()).run_id
    await trial.release.terminate()
    await trial.rollout.terminate()
    trial.lab.world.closed_runs.add(run)


async def reset(handle: WorkflowHandle[object, object], client: Client, *, last: bool = True) -> None:
    """Resets to the last (or first) completed workflow task, as `temporal workflow reset --type` does."""
    history = await handle.fetch_history()
    done = [e.event_id for e in history.events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    run = (await handle.describe()).run_id
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=run),
            workflow_task_finish_event_id=done[-1 if last else 0],
            request_id=unique("reset"),
            reason="test",
        )
    )


@pytest.mark.parametrize("strategy", ["canary", "blueGreen", "rolling", "recreate"])
async def test_the_janitor_settles_a_target_that_lost_both_runs_at_any_step(client: Client, strategy: str) -> None:
    async with a_lab(client) as lab:
        steps = await count_activities(lab, strategy)

        async def one(nth: int) -> None:
            trial = lab.release(strategy)
            before = trial.place.state()
            holding = await trial.hold_before(nth)
            await trial.start()
            await asyncio.wait_for(holding.reached.wait(), PATIENCE)
            await terminate_both(trial)
            trial.free(holding)
            await asyncio.sleep(0.1)
            marked = trial.place.mark is not None
            if marked:
                await run_janitor(lab)
                await settled(trial)
            after = trial.place.state()
            assert same(after, before) or (is_promoted(after) and not marked), f"lost before {nth}: {after}"

        for nth in range(steps):
            await one(nth)
        assert lab.world.violations == []


async def test_the_janitor_never_touches_a_later_good_release(lab: Lab) -> None:
    name = unique("later")
    lost = lab.release("canary", name=name)
    holding = await lost.hold_before(4)
    await lost.start()
    await holding.reached.wait()
    await terminate_both(lost)
    lost.free(holding)
    await run_janitor(lab)
    await settled(lost)
    good = lab.release("canary", name=name, version="v3")
    await good.start()
    assert (await good.end())[0] == "Succeeded"
    after = good.place.state()
    for _ in range(10):
        assert await run_janitor(lab) == 0
    assert good.place.state() == after


async def test_a_rollout_goes_back_when_its_release_is_gone_and_did_not_cancel_it(lab: Lab) -> None:
    """A release that was reset does not know the Rollouts of the run before, so its end ends none of them."""
    lost = lab.release("canary", watch="1h")
    before = lost.place.state()
    holding = await lost.hold_before(6)
    await lost.start()
    await holding.reached.wait()
    await reset(lost.release, lab.client, last=False)
    await lost.release.terminate()
    lost.free(holding)
    assert await run_janitor(lab) == 0, "the server says whether a release is gone, and has not said so"
    lab.world.closed_runs.add(lost.release.id)
    assert await run_janitor(lab) == 1
    result = await asyncio.wait_for(lost.rollout.result(), PATIENCE)
    assert (result["outcome"], result["reason"]) == ("RolledBack", "Orphaned")
    assert same(lost.place.state(), before)
    assert await run_janitor(lab) == 0


async def test_a_target_is_undone_from_its_mark_alone_on_an_empty_temporal_server(lab: Lab) -> None:
    lost = lab.release("canary")
    before = lost.place.state()
    holding = await lost.hold_before(6)
    await lost.start()
    await holding.reached.wait()
    await terminate_both(lost)
    lost.free(holding)
    assert lost.place.mark is not None
    run = lost.place.mark.rollout_run_id
    assert not same(lost.place.state(), before)
    async with a_dev_server() as empty, a_lab(empty.client, lab.world) as there:
        assert not await TemporalRuns(empty.client).is_open(lost.rollout.id, run)
        assert await run_janitor(there) == 1
        result = await empty.client.get_workflow_handle(lost.rollout.id).result()
        assert (result["outcome"], result["reason"]) == ("RolledBack", "Orphaned")
    assert lost.place.mark is None
    assert same(lost.place.state(), before)
    assert lab.world.violations == []


async def test_a_release_restores_an_orphaned_target_before_it_captures(lab: Lab) -> None:
    name = unique("orphan")
    lost = lab.release("canary", name=name)
    before = lost.place.state()
    holding = await lost.hold_before(6)
    await lost.start()
    await holding.reached.wait()
    await terminate_both(lost)
    lost.free(holding)
    next_one = lab.release("canary", name=name, version="v3")
    await next_one.start()
    assert (await next_one.end())[0] == "Succeeded"
    captures = [request for called, request in next_one.place.log if called == "targets.capture"]
    assert len(captures) >= 2
    kept = next_one.place.kept[-1]
    assert kept.version == "v3"
    assert before.slot("stable").template_version == "v1"


@pytest.mark.parametrize("strategy", ["canary", "blueGreen", "rolling", "recreate"])
@pytest.mark.parametrize("which", ["release", "rollout"])
@pytest.mark.parametrize("last", [True, False], ids=["to-the-last-task", "to-the-first-task"])
async def test_a_reset_run_never_moves_traffic_on_a_claim_that_is_not_its_own(
    client: Client, strategy: str, which: str, last: bool
) -> None:
    async with a_lab(client) as lab:

        async def one(nth: int) -> str:
            trial = lab.release(strategy)
            before = trial.place.state()
            holding = await trial.hold_before(nth)
            await trial.start()
            await asyncio.wait_for(holding.reached.wait(), PATIENCE)
            await reset(trial.release if which == "release" else trial.rollout, client, last=last)
            trial.free(holding)
            outcome, _ = await trial.end()
            await settled(trial)
            after = trial.place.state()
            at = f"{strategy} {which} reset before {nth}: {outcome} {trial.place.called}"
            if outcome == "Succeeded":
                assert is_promoted(after), at
            else:
                assert same(after, before), at
            return outcome

        steps = await count_activities(lab, strategy)
        await asyncio.gather(*(one(nth) for nth in range(1, steps)))
        assert lab.world.violations == []


async def test_a_rollout_reset_before_it_settles_never_succeeds_with_its_mark_in_place(client: Client) -> None:
    async with a_lab(client) as lab:
        trial = lab.release("canary")
        before = trial.place.state()
        holding = await trial.hold_before(await count_activities(lab, "canary") - 1)
        await trial.start()
        await asyncio.wait_for(holding.reached.wait(), PATIENCE)
        await reset(trial.rollout, client)
        outcome, _ = await trial.end()  # The first run's attempt is still on its way.
        assert (outcome, trial.place.mark) == ("RolledBack", None)
        assert same(trial.place.state(), before)
        trial.free(holding)
        await asyncio.sleep(0.2)
        assert same(trial.place.state(), before)
        assert lab.world.violations == []
