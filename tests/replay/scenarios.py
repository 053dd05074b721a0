"""What is recorded: each scenario is a release in the lab, played to its end, and the histories it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowContinuedAsNewError, WorkflowFailureError, WorkflowHistory
from temporalio.exceptions import ApplicationError

from tests.temporal import unique
from tests.workflows.fake_world import Hook
from tests.workflows.lab import COUNTED, Lab, Trial
from workflows.contracts.metrics import ObserveRequest
from workflows.contracts.traffic import ShiftRequest
from workflows.model.decision import Decision
from workflows.model.plan import Gate
from workflows.model.target import Sync, TrafficState

NAME = "shop"
GATED = {
    "kind": "canary",
    "stages": [{"weight": 10, "observe": "100ms"}, {"weight": 50, "observe": "100ms", "approval": "agreed"}],
    "watch": "100ms",
}
GATE = Gate(name="agreed", count=2)
BAD = Decision(verdict="rollback", reason="RuleFailed", message="errors: 5% against a limit of 1%")
UNKNOWN = Decision(verdict="hold", reason="NoData", message="errors: no data for 2m")

Scenario = Callable[[Lab], Awaitable[None]]


async def _ends(trial: Trial, outcome: str) -> None:
    found, result = await trial.end()
    assert found == outcome, (found, result)


async def _good(lab: Lab, strategy: str, **more: object) -> None:
    trial = lab.release(strategy, name=NAME, **more)  # type: ignore[arg-type]
    await trial.start()
    await _ends(trial, "Succeeded")


async def canary_good(lab: Lab) -> None:
    await _good(lab, "canary")


async def blue_green_gradual(lab: Lab) -> None:
    await _good(lab, "gradual-blueGreen")


async def blue_green_switch(lab: Lab) -> None:
    await _good(lab, "blueGreen")


async def rolling(lab: Lab) -> None:
    await _good(lab, "rolling")


async def recreate(lab: Lab) -> None:
    await _good(lab, "recreate")


async def initial(lab: Lab) -> None:
    await _good(lab, "canary", old=None)


async def continued_as_new(lab: Lab) -> None:
    await _good(lab, "canary", history_limit=70)


async def group_of_two(lab: Lab) -> None:
    await _good(lab, "canary", components=("api", "web"), waves={"web": 1})


async def journal_late(lab: Lab) -> None:
    """The record and a channel refuse what they get, and take it later."""
    lab.world.unheard, lab.world.unwritten = {"release_started"}, {"deployment_initiated"}
    trial = lab.release("canary", name=NAME)
    await trial.start()
    await trial.until(lambda status: status.phase == "Watching")
    lab.world.unheard.clear()
    lab.world.unwritten.clear()
    await _ends(trial, "Succeeded")


async def canary_rolled_back(lab: Lab) -> None:
    trial = lab.release("canary", name=NAME)

    def judge(request: ObserveRequest) -> Decision | None:
        return BAD if request.weights.get("canary", 0) >= 50 else None

    lab.world.verdicts[trial.components[0].target.key] = judge
    await trial.start()
    await _ends(trial, "RolledBack")


async def group_rolled_back(lab: Lab) -> None:
    trial = lab.release("rolling", name=NAME, components=("api", "web"))
    lab.world.verdicts[trial.components[1].target.key] = lambda _: BAD
    await trial.start()
    await _ends(trial, "RolledBack")


async def held_then_resumed(lab: Lab) -> None:
    trial = lab.release("canary", name=NAME)
    key = trial.components[0].target.key
    lab.world.verdicts[key] = lambda request: None if request.holding else UNKNOWN
    await trial.start()
    await trial.until(lambda status: status.wait and status.wait.reason == "NoData")
    del lab.world.verdicts[key]
    await trial.say("resume")
    await _ends(trial, "Succeeded")


async def git_behind(lab: Lab) -> None:
    trial = lab.release("canary", name=NAME)
    trial.place.syncs = (Sync(name="shop", namespace="argocd", paused=True, automated={}),)
    lab.world.behind[trial.components[0].target.key] = "Git names v1"
    await trial.start()
    await trial.until(lambda status: status.wait is not None and status.wait.reason == "GitBehind")
    lab.world.behind.clear()
    await _ends(trial, "Succeeded")


async def taken_over(lab: Lab) -> None:
    """Somebody changes a field twice: it is taken over, then held, and taken over by a person."""
    trial = lab.release({"kind": "rolling", "watch": "10m"}, name=NAME, foreign_changes="takeOver")
    key, field = trial.components[0].target.key, "HTTPRoute test/shop: /spec/rules/0/backendRefs"
    await trial.start()
    await trial.until(lambda status: status.phase == "Watching")
    lab.world.foreign[key] = field
    while lab.world.foreign:
        await trial.status()
    lab.world.foreign[key] = field
    await trial.until(lambda status: status.wait and status.wait.reason == "ForeignChange")
    await trial.say("resume", takeOver=True)
    while lab.world.foreign:
        await trial.status()
    await trial.say("advance")
    await _ends(trial, "Succeeded")


async def told_late(lab: Lab) -> None:
    """A change that was put back is told by an observer that saw it before."""
    stages = [{"weight": weight, "observe": observe} for weight, observe in ((10, "10m"), (50, "150ms"))]
    trial = lab.release({"kind": "canary", "stages": stages, "watch": "150ms"}, name=NAME)
    lab.world.silent = True
    await trial.start()
    await trial.until(lambda status: status.phase == "Observing")
    lab.world.foreign[trial.components[0].target.key] = "HTTPRoute test/shop: /spec/rules/0/backendRefs"
    while not lab.world.noticed:
        await trial.status()
    lab.world.foreign.clear()
    await trial.say("advance")
    await _ends(trial, "Succeeded")


async def approval(lab: Lab) -> None:
    trial = lab.release(GATED, name=NAME, gates={"agreed": GATE})
    await trial.start()
    await trial.until(lambda status: status.gates)
    for person in ("ann@example.com", "bob@example.com"):
        await trial.say("approve", gate="agreed", by=person)
    await _ends(trial, "Succeeded")


async def rejected(lab: Lab) -> None:
    trial = lab.release(GATED, name=NAME, gates={"agreed": GATE})
    await trial.start()
    await trial.until(lambda status: status.gates)
    status = await trial.status()
    voice = {"firstRunId": status.first_run_id, "gate": "agreed", "by": "ann@example.com", "comment": "not today"}
    await trial.release.signal("reject", voice)
    await _ends(trial, "RolledBack")


async def steered(lab: Lab) -> None:
    """Paused, resumed, advanced, and a stale message that is refused."""
    stages = [{"weight": 10, "observe": "10m"}, {"weight": 50, "observe": "100ms"}]
    trial = lab.release({"kind": "canary", "stages": stages, "watch": "100ms"}, name=NAME)
    await trial.start()
    await trial.until(lambda status: status.phase == "Observing")
    await trial.say("pause")
    status = await trial.until(lambda status: status.paused)
    await trial.release.signal("pause", {"firstRunId": status.first_run_id, "sequence": 0})
    await trial.say("resume")
    await trial.until(lambda status: not status.paused)
    await trial.say("advance")
    await _ends(trial, "Succeeded")


async def aborted(lab: Lab) -> None:
    trial = lab.release("canary", name=NAME)
    holding = await trial.hold_before(4)
    await trial.start()
    await holding.reached.wait()
    await trial.say("abort", reason="enough")
    await trial.until(lambda status: status.phase == "RollingBack")
    trial.free(holding)
    await _ends(trial, "Aborted")


async def aborted_while_checked(lab: Lab) -> None:
    """It was refused until the patch `abort-while-planning`; `abort-refused-while-checked` was recorded before."""
    lab.world.checking = asyncio.Event()
    trial = lab.release("canary", name=NAME)
    handle = await trial.start()
    await asyncio.sleep(0.3)
    await handle.signal("abort", {"firstRunId": handle.first_execution_run_id, "by": "ann@example.com"})
    await _ends(trial, "Aborted")


async def half_captured(lab: Lab) -> None:
    """The mark stands, and then something refuses for good; before `undo-half-a-capture` the mark was left."""
    trial = lab.release("canary", name=NAME)
    lab.world.half_captured.add(trial.components[0].target.key)
    await trial.start()
    await _ends(trial, "Failed")


async def cancelled(lab: Lab) -> None:
    trial = lab.release("gradual-blueGreen", name=NAME)
    holding = await trial.hold_before(5)
    await trial.start()
    await holding.reached.wait()
    await trial.release.cancel()
    trial.free(holding)
    await _ends(trial, "CancelledError")


async def superseded(lab: Lab) -> None:
    """A newer release aborts the older one and takes the target after it."""
    trial = lab.release("rolling", name=NAME)
    holding = await trial.hold_before(2)
    await trial.start()
    await holding.reached.wait()
    await trial.say("abort", reason="superseded")
    await trial.until(lambda status: status.phase == "RollingBack")
    trial.free(holding)
    await _ends(trial, "Aborted")
    newer = lab.release("rolling", name=NAME, version="v3")
    await newer.start()
    await _ends(newer, "Succeeded")


async def waits_for_its_target(lab: Lab) -> None:
    first = lab.release("rolling", name=NAME)
    holding = await first.hold_before(2)
    await first.start()
    await holding.reached.wait()
    second = lab.release("rolling", name="other", version="v3", targets={"shop": first.components[0].target})
    await second.start()
    await second.until(lambda status: status.wait and status.wait.reason == "TargetBusy")
    first.free(holding)
    await _ends(first, "Succeeded")
    await _ends(second, "Succeeded")


async def reset(lab: Lab) -> None:
    """The Rollout is reset: its second run is refused by the fence, and its Release restores the target."""
    trial = lab.release("canary", name=NAME)
    holding = await trial.hold_before(4)
    await trial.start()
    await holding.reached.wait()
    history = await trial.rollout.fetch_history()
    done = [e.event_id for e in history.events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    await lab.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=lab.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=trial.rollout.id, run_id=history.run_id),
            workflow_task_finish_event_id=done[-1],
            request_id=unique("reset"),
            reason="recorded",
        )
    )
    trial.free(holding)
    await trial.end()


async def _blocked(trial: Trial, activity: str, hook: Hook) -> None:
    """A bad canary whose undo a hook blocks, until it is gone and a person resumes."""
    world, key = trial.lab.world, trial.components[0].target.key
    world.verdicts[key] = lambda request: BAD if request.segment > 1 else None
    world.hooks[key, activity] = hook
    await trial.start()
    await trial.until(lambda status: status.wait and status.wait.reason == "UndoBlocked")
    del world.hooks[key, activity]
    await trial.say("resume")
    await _ends(trial, "RolledBack")


async def undo_blocked_then_resumed(lab: Lab) -> None:
    async def refuse(_: object) -> None:
        raise ApplicationError("the disk is full", type="Rejected", non_retryable=True)

    await _blocked(lab.release("canary", name=NAME), "targets.settle", refuse)


async def late_requests(lab: Lab) -> None:
    """What still comes to the version that goes is counted."""
    trial = lab.release("blueGreen", name=NAME)
    trial.components[0].component["analysis"] = COUNTED
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    await trial.start()
    await _ends(trial, "RolledBack")


async def undo_not_seen(lab: Lab) -> None:
    """The way back is written and the data plane does not show it for a while."""
    trial = lab.release("canary", name=NAME)

    async def ask_in_vain(request: ShiftRequest) -> None:
        if request.claim.purpose == "undo":
            trial.place.traffic = TrafficState(weights=request.weights)
            raise ApplicationError("Envoy shows 10 %", type="WeightNotVerified", non_retryable=True)

    await _blocked(trial, "traffic.shift", ask_in_vain)


async def rollback(lab: Lab) -> None:
    await _good(lab, "rolling")
    await _good(lab, "rolling", version="v3")
    order = {"environment": "test", "name": NAME, "version": "v2", "reason": "v3 is slow", "by": "ann@example.com"}
    await lab.client.execute_workflow("Rollback", order, id=f"rollback/test/{NAME}", task_queue=lab.queue)


async def settled_by_the_janitor(lab: Lab) -> None:
    lost = lab.release("canary", name=NAME)
    holding = await lost.hold_before(6)
    await lost.start()
    await holding.reached.wait()
    run = (await lost.rollout.describe()).run_id
    await lost.release.terminate()
    await lost.rollout.terminate()
    lab.world.closed_runs.add(run)
    lost.free(holding)
    assert await lab.client.execute_workflow("Janitor", id="headgate-janitor", task_queue=lab.queue) == 1
    while lost.place.mark is not None:  # noqa: ASYNC110 - the world sends no events.
        await asyncio.sleep(0.02)


async def orphan_restored_first(lab: Lab) -> None:
    lost = lab.release("canary", name=NAME)
    holding = await lost.hold_before(6)
    await lost.start()
    await holding.reached.wait()
    await lost.release.terminate()
    await lost.rollout.terminate()
    lost.free(holding)
    await _good(lab, "canary", version="v3")


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__.replace("_", "-"): scenario
    for scenario in (
        canary_good, canary_rolled_back, blue_green_gradual, blue_green_switch, rolling, recreate, initial, approval,
        rejected, steered, held_then_resumed, aborted, aborted_while_checked, half_captured, cancelled, superseded,
        waits_for_its_target, reset, group_of_two, group_rolled_back, undo_blocked_then_resumed, undo_not_seen,
        late_requests, rollback, settled_by_the_janitor, orphan_restored_first, continued_as_new, journal_late,
        taken_over, told_late, git_behind,
    )
}  # fmt: skip


async def histories(client: Client) -> list[WorkflowHistory]:
    """Every run of every workflow that the server knows, to its end."""
    found = []
    async for execution in client.list_workflows():
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        # However it ends: a list may be a second behind.
        with suppress(WorkflowFailureError, WorkflowContinuedAsNewError):
            await handle.result(follow_runs=False)
        found.append(await handle.fetch_history())
    return found
