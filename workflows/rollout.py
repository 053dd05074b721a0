"""One component on one target: steps, guard, and the way back.

The workflow id is the target's lock. A Rollout returns a `RolloutResult` for every outcome; only Release turns
outcomes into failures. What undo does is computed from the mark and from what is there, by an activity, so that it
also works when this history is gone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.analysis.session import timeline_of
from workflows.contracts.targets import (
    Acquired,
    AcquireRequest,
    Captured,
    CaptureRequest,
    RolloutPlanned,
    TargetActivities,
)
from workflows.contracts.workloads import Gathered, GatherRequest, WorkloadActivities
from workflows.engine import calls
from workflows.engine.aftermath import Aftermath
from workflows.engine.checkpoints import Checkpoint, is_due
from workflows.engine.compensation import complete
from workflows.engine.ends import only
from workflows.engine.foreign import Foreign
from workflows.engine.guard import Guard
from workflows.engine.journey import Journey, waiting
from workflows.engine.outbox import RELEASE_GONE, Outbox
from workflows.engine.reach import Reach
from workflows.engine.steps import StepFailed
from workflows.engine.undo import Undo, Undone
from workflows.engine.visibility import PHASE, Visibility
from workflows.model.decision import Decision
from workflows.model.messages import Command, Report, RolloutOrder
from workflows.model.status import LateRequests, Outcome, Phase, RolloutResult, RolloutStatus, Wait
from workflows.model.target import Claim, Mark, Promoted, TargetState

_LOCK_PAUSE = timedelta(seconds=5)
_LATE_PAUSE = timedelta(seconds=30)
"""Between two attempts at what nobody waits for any more."""
_ENDS = ("Succeeded", "RolledBack", "Aborted", "Failed")
_NO_FAILURE = ("ApprovalRejected", "ApprovalExpired", "ForeignChange", "Orphaned", "PlanRefused")
"""Reasons to go back that say nothing against the version."""
_PARENTS = ("release/", "rollback/", "headgate-janitor")
_STRANGER = "a Rollout is started by a Release, a Rollback or the janitor; start `headgate start FILE` instead"


@dataclass(frozen=True)
class Interrupt:
    """Why the way forward ends."""

    outcome: Outcome
    reason: str
    message: str


@workflow.defn(name="Rollout")
class Rollout:
    """Carries out one component's plan; see `RolloutOrder` for what it is told."""

    @workflow.init
    def __init__(self, *given: Any) -> None:
        """What a stranger gives is not looked at: `run` ends it, for a start that wedges would hold the lock."""
        if _is_stranger():
            return
        self.order = order = RolloutOrder.model_validate(only(given, "order"))
        self.claim: Claim | None = None
        self.reach = Reach(order.target, self._on_reach)
        self.guard = Guard(self.reach, None, order.release.version, self._on_segment, self._on_foreign)
        self.foreign = Foreign(order.foreign_changes, self.reach, self.guard, self)
        self.journey = Journey(order, self.guard, self.foreign, self)
        self.visibility = Visibility()
        self.outbox = Outbox(order.release.workflow_id, "report", self._on_release_lost)
        self.interrupt: Interrupt | None = None
        self.phase: Phase = "Pending"
        self.wait: Wait | None = None
        self.summary = "Wait for the lock"
        self.hold_until: datetime | None = None
        self.undo: Undo | None = None
        self.segment_ended = False
        self.failure_log = ""
        self.late: LateRequests | None = None

    @workflow.run
    async def run(self, *given: Any) -> RolloutResult:  # noqa: ARG002
        """Runs to the end whatever happens; cancel means undo."""
        if _is_stranger():
            raise ApplicationError(_STRANGER, type="BadStart", non_retryable=True)
        order = self.order
        self.show("Pending")
        try:
            if order.mode == "undo":
                return await complete(self._settle_mark())
            if order.resume is not None:
                return await self._go_on(Checkpoint.model_validate(order.resume))
            return await self._release()
        except asyncio.CancelledError:
            self.interrupt = self.interrupt or Interrupt("Aborted", "Cancelled", "the workflow was cancelled")
            return await complete(self._go_back())

    @workflow.signal(name="command", description="Release tells its Rollout what to do next")
    def on_command(self, payload: Any) -> None:
        try:
            command = Command.model_validate(payload)
        except ValidationError:
            workflow.logger.warning("an unreadable command was ignored")
            return
        self._obey(command)

    @workflow.query(name="status", description="This component as its Rollout sees it")
    def status(self) -> RolloutStatus:
        return self._status().model_copy(update={"timeline": timeline_of(self.guard.evidence)})

    def _status(self) -> RolloutStatus:
        """All but the timeline, which no report carries."""
        info, journey, guard = workflow.info(), self.journey, self.guard
        return RolloutStatus(
            component=self._name,
            rollout_id=info.workflow_id,
            run_id=info.run_id,
            phase=self.phase,
            step=journey.index,
            steps=len(journey.plan.steps) if journey.plan else 0,
            summary=self.summary,
            asked=journey.asked,
            verified=journey.verified,
            weight=journey.weight,
            stage=journey.stage,
            stages=journey.stages,
            observed_seconds=guard.observed,
            need_seconds=guard.need or 0,
            wait=self.wait,
            decision=guard.verdict or self._hold,
            metrics=guard.metrics,
            evidence=guard.weighed,
            undo=journey.plan.undo if journey.plan else "",
            updated_at=workflow.now(),
        )

    # --- the way forward -------------------------------------------------------------------------------------------

    async def _release(self) -> RolloutResult:
        captured = await complete(self._capture())
        if isinstance(captured, RolloutResult):
            return captured
        if self.interrupt is not None:
            return await complete(self._go_back())
        planned = captured.planned or RolloutPlanned()
        if planned.plan is None:
            self.interrupt = Interrupt("Failed", planned.reason or "PlanRefused", planned.message)
            return await complete(self._go_back())
        self.journey.adopt(planned.plan, _present(self.claim))
        return await self._drive()

    async def _go_on(self, checkpoint: Checkpoint) -> RolloutResult:
        """Takes over from the run that continued as this one."""
        self.hold_until = checkpoint.hold_until if checkpoint.hold else None
        acquired = await complete(self._acquire())
        if isinstance(acquired, RolloutResult):
            return acquired
        self.claim = acquired
        self.journey.take_over(checkpoint, acquired)
        return await self._drive()

    async def _acquire(self) -> Claim | RolloutResult:
        """A claim of this run's own on a target that its earlier run marked."""
        request = AcquireRequest(
            target=self.order.target, purpose="release", release_run=self.order.release.first_run_id
        )
        while True:
            try:
                acquired: Acquired = await self.reach.call(TargetActivities.acquire, request, calls.USUAL)
            except ActivityError as error:
                failure = calls.failure_of(error)
                if failure.reason == "Fenced":
                    return self._result(Interrupt("Failed", "Superseded", failure.message), undone=False)
                await workflow.sleep(_LOCK_PAUSE)
                continue
            if acquired.claim is None or acquired.mark is None:
                return self._result(Interrupt("Failed", "Superseded", "the mark is gone"), undone=False)
            return acquired.claim

    async def _renew(self, forward: asyncio.Task[None]) -> None:
        """Continues as new; only called while the steps wait, so nothing is under way that could be lost."""
        _drop(forward)
        self.guard.stop()
        await self.outbox.flush()
        checkpoint = self.journey.checkpoint().model_copy(update={"hold_until": self.hold_until})
        resume = checkpoint.model_dump(mode="json", by_alias=True)
        workflow.continue_as_new(self.order.model_copy(update={"resume": resume}))

    async def _capture(self) -> Captured | RolloutResult:
        """Takes the target: waits while another run holds it, settles what a lost run left."""
        component = _present(self.order.component)
        request = CaptureRequest(
            target=self.order.target,
            release=self.order.release,
            template=component.template,
            component=component,
            kind="rollback" if self.order.mode == "rollback" else "release",
            analysis_required=self.order.analysis_required,
            restart=self.order.restart,
            again=self.order.again or self.order.mode == "rollback",
        )
        while True:
            try:
                captured: Captured = await self.reach.call(
                    TargetActivities.capture, request, calls.USUAL, "Lock the target and record its baseline"
                )
            except ActivityError as error:
                failure = calls.failure_of(error)
                end = Interrupt("Failed", failure.reason, failure.message)
                if failure.reason != "Fenced" and workflow.patched("undo-half-a-capture") and await self._is_marked():
                    self.interrupt = self.interrupt or end
                    return await self._go_back()
                return self._result(end, changed=False)
            if captured.status == "captured":
                self.claim = captured.claim
                return captured
            if captured.status == "running":
                interrupt = Interrupt("Succeeded", "AlreadyRunning", captured.message)
                return self._result(interrupt, changed=False)
            if captured.status == "refused":
                return self._result(Interrupt("Rejected", "RolledBackBefore", captured.message), changed=False)
            if captured.status == "orphaned" and captured.mark is not None:
                self.show("Preparing", "Settle what a lost release left")
                lost = captured.mark
                undone = await self._undo_with(lost.release.first_run_id, lost.rollout_run_id, purpose="restore")
                if undone.outcome != "restored":
                    await workflow.sleep(_LOCK_PAUSE)
                continue
            self.show("Waiting", wait=waiting("TargetBusy", captured.message or f"held by {captured.holder}"))
            self.report("waiting")
            try:
                await workflow.wait_condition(lambda: self.interrupt is not None, timeout=_LOCK_PAUSE)
            except TimeoutError:
                continue
            return self._result(_present(self.interrupt), changed=False)

    async def _is_marked(self) -> bool:
        """Whether a capture that failed had marked the target; where nobody can tell, the janitor will."""
        try:
            mark: Mark | None = await self.reach.call(
                TargetActivities.find_mark, self.order.target, calls.USUAL, "See whether the target was marked"
            )
        except ActivityError:
            return False
        return mark is not None and mark.rollout_run_id == workflow.info().run_id

    async def _drive(self) -> RolloutResult:
        """Runs the steps until they are done or something ends the way forward."""
        if "start" not in self.journey.barriers:
            self.report("captured")
            self.show("Waiting", "Wait until the whole group is captured", waiting("Group", "the other components"))
        forward = asyncio.create_task(self.journey.walk())
        try:
            await self._watch(forward)
            if self.journey.committed:
                await complete(_settled(forward))
        except asyncio.CancelledError:
            if self.journey.committed:
                await complete(_settled(forward))
            else:
                _drop(forward)
                raise
        if self.interrupt is None and forward.done():
            self._judge(forward)
        if self.interrupt is None:
            return await complete(self._succeed())
        _drop(forward)
        return await complete(self._go_back())

    async def _watch(self, forward: asyncio.Task[None]) -> None:
        """Returns when the steps are done, or at once when somebody or the guard says stop."""
        while True:
            until = self.hold_until
            left = None if until is None else max(until - workflow.now(), timedelta(0))
            try:
                await workflow.wait_condition(partial(self._has_news, forward, until), timeout=left)
            except TimeoutError:
                reason = self.wait.reason if self.wait else "hold"
                self.interrupt = self.interrupt or Interrupt(
                    "RolledBack", "HoldExpired", f"nobody answered the hold ({reason}) in time"
                )
            if forward.done() or self._must_stop():
                return
            self.guard.check()
            if self.segment_ended and self._may_renew() and is_due(self.order.history_limit):
                await self._renew(forward)
            self.segment_ended = False

    def _may_renew(self) -> bool:
        return self.journey.is_waiting and not self.foreign.is_taking_over

    def _has_news(self, forward: asyncio.Task[None], until: datetime | None) -> bool:
        return (
            forward.done() or self._must_stop() or self.hold_until != until or self.guard.is_over or self.segment_ended
        )

    def _must_stop(self) -> bool:
        if self.journey.committed:
            return False
        verdict = self.guard.verdict
        if verdict is not None and self.interrupt is None:
            self.interrupt = Interrupt("RolledBack", verdict.reason, verdict.message)
        return self.interrupt is not None

    def _judge(self, forward: asyncio.Task[None]) -> None:
        error = forward.exception()
        if error is None:
            return
        if not isinstance(error, StepFailed):
            raise error
        outcome: Outcome = "Failed" if error.reason == "Fenced" else "RolledBack"
        reason = "Superseded" if error.reason == "Fenced" else error.reason
        self.interrupt = Interrupt(outcome, reason, error.message)

    async def _succeed(self) -> RolloutResult:
        self.guard.stop()
        self.foreign.stop()
        plan = _present(self.journey.plan)
        if refusal := await self._settle():
            self.show("Failed", refusal)
            return self._result(Interrupt("Failed", "Superseded", refusal), undone=False)
        self.show("Succeeded", f"{plan.template.version} takes all traffic")
        return self._result(Interrupt("Succeeded", "Promoted", f"{plan.template.version} takes all traffic"))

    # --- the way back ----------------------------------------------------------------------------------------------

    async def _go_back(self) -> RolloutResult:
        """Restores the baseline and says how that went; a superseded run touches nothing."""
        cause = _present(self.interrupt)
        self.guard.stop()
        self.foreign.stop()
        if cause.reason == "Superseded":
            self.show("Failed", cause.message)
            return self._result(cause, undone=False)
        self.show("RollingBack", f"Undo: {cause.message}"[:200])
        self.report("undoing", outcome=cause.outcome, reason=cause.reason, message=cause.message)
        gathering, aftermath = self._gathering(cause), self._aftermath()
        undone = await self._undo_with(self.order.release.first_run_id, gathering=gathering, aftermath=aftermath)
        if gathering is not None:
            await workflow.wait([gathering])
        self.late = await aftermath.end() if aftermath else None
        if undone.outcome == "superseded":
            self.show("Failed", undone.message)
            return self._result(Interrupt("Failed", "Superseded", undone.message), undone=False)
        if undone.outcome == "abandoned":
            self.show("Failed", undone.message)
            return self._result(Interrupt("Failed", "UndoAbandoned", undone.message), undone=False, final=undone.state)
        self.show("Aborted" if cause.outcome == "Aborted" else "RolledBack", cause.message)
        await self.outbox.flush()
        return self._result(cause, final=undone.state)

    def _gathering(self, cause: Interrupt) -> asyncio.Task[None] | None:
        """Keeps what is known of a version that failed, beside the undo; None where nothing failed or nothing ran."""
        if cause.outcome == "Aborted" or self.journey.plan is None or cause.reason in _NO_FAILURE:
            return None
        request = GatherRequest(
            target=self.order.target,
            release=self.order.release,
            template=self.journey.plan.template,
            reason=cause.reason,
            message=cause.message,
        )
        return asyncio.create_task(self._gather(request))

    def _aftermath(self) -> Aftermath | None:
        """None where no user was ever led to the version."""
        plan = self.journey.plan
        return Aftermath(self.reach, plan.analysis) if plan is not None and self.journey.exposed else None

    async def _gather(self, request: GatherRequest) -> None:
        try:
            gathered: Gathered = await self.reach.begin(
                WorkloadActivities.gather, request, calls.GATHER, "Keep what pods, events and logs tell"
            )
        except ActivityError as error:
            workflow.logger.warning("nothing is kept of the failure: %s", calls.failure_of(error).message)
        else:
            self.failure_log = gathered.command

    async def _undo_with(
        self,
        release_run: str,
        rollout_run: str = "",
        *,
        purpose: str = "undo",
        gathering: asyncio.Task[None] | None = None,
        aftermath: Aftermath | None = None,
    ) -> Undone:
        kept = self._promoted("rolledBack") if self.journey.exposed and self.guard.verdict is not None else None
        self.undo = Undo(self.reach, release_run, rollout_run, self._on_undo, kept, purpose, gathering, aftermath)
        if self.reach.missing:
            self._on_reach()
        try:
            return await self.undo.run()
        finally:
            self.undo = None

    def _on_undo(self, summary: str, blocked: str, verified: dict[Any, float] | None) -> None:
        """Hears of each undo step and of what blocks it."""
        runner = self.journey.runner
        if verified is not None and runner is not None:
            runner.verified = verified
        wait = waiting("UndoBlocked", blocked) if blocked else None
        self.show("RollingBack", summary, wait)
        if blocked:
            self.report("hold", reason="UndoBlocked", message=blocked)

    async def _settle_mark(self) -> RolloutResult:
        """Mode `undo`: restores a target from its mark; without that mark there is nothing to do."""
        mark = self.order.mark
        self.show("RollingBack", "Settle what a lost release left")
        undone = await self._undo_with(self.order.release.first_run_id, mark.rollout_run_id if mark else "")
        outcome: Outcome = "RolledBack" if undone.outcome in ("restored", "nothing") else "Failed"
        reason = {"nothing": "NothingToUndo", "restored": "Orphaned"}.get(undone.outcome, "UndoAbandoned")
        self.show(outcome, undone.message)
        return self._result(
            Interrupt(outcome, reason, undone.message),
            undone=outcome == "RolledBack",
            changed=undone.outcome != "nothing",
            final=undone.state,
        )

    async def _settle(self) -> str:
        """Ends what is committed, however often that fails; answers why this run may not, when another one holds it."""
        journey = self.journey
        while True:
            try:
                await _present(journey.runner).settle(self._promoted("promoted"), journey.leftover, journey.home)
            except StepFailed as error:
                if error.reason == "Fenced":
                    return error.message
                self.show(wait=waiting("RetireBlocked", error.message))
                await workflow.sleep(_LATE_PAUSE)
            else:
                return ""

    def _promoted(self, outcome: str) -> Promoted | None:
        plan, component = self.journey.plan, self.order.component
        if plan is None or component is None:
            return None
        return Promoted(
            target=self.order.target,
            environment=self.order.release.environment,
            release=self.order.release.name,
            version=plan.template.version,
            template=plan.template,
            component=component.component,
            outcome="promoted" if outcome == "promoted" else "rolledBack",
            at=workflow.now(),
        )

    # --- what is said and shown ------------------------------------------------------------------------------------

    def _obey(self, command: Command) -> None:
        if command.name == "go":
            self.journey.barriers.add(command.barrier)
        elif command.name == "granted":
            self.journey.granted.add(command.instance)
        elif command.name == "pause":
            self.journey.paused = True
            if self.journey.committed:
                self.report("watched")  # Who is released alone has not said so, and Release believes in the pause.
        elif command.name == "resume":
            self.journey.paused = False
            self._resume(take_over=command.take_over)
        elif command.name == "advance":
            self.journey.full = self.journey.full or command.full
            self.guard.pass_now()
            self._resume()
        elif command.name == "abandonUndo" and self.undo is not None:
            self.undo.abandon(command.message)
        elif command.name in ("abort", "undo"):
            outcome: Outcome = "Aborted" if command.name == "abort" else "RolledBack"
            self.end(outcome, command.reason or outcome, command.message)

    def _resume(self, *, take_over: bool = False) -> None:
        if self.undo is not None:
            self.undo.retry()
        if self.foreign.is_taking_over:
            return
        if take_over and self.foreign.stands:
            self.foreign.take_over()
        elif self.guard.hold is not None:
            self.resume_from()

    def resume_from(self, reason: str = "", message: str = "") -> None:
        self.guard.release_hold()
        self._end_hold(reason, message)

    @property
    def _hold(self) -> Decision | None:
        return self.reach.missing or self.guard.hold

    def _is_held(self) -> bool:
        return self._hold is not None and self.hold_until is not None

    def _on_segment(self) -> None:
        self.segment_ended = True
        self._consider_hold()

    def _on_reach(self) -> None:
        """The workers of the cluster are gone, or there again."""
        missing = self.reach.missing
        if self.undo is not None:
            self._on_undo("", missing.message if missing else "", None)
        elif self.journey.plan is not None and not self.journey.committed:
            self._consider_hold() if missing else self._end_hold()
        else:  # Nothing has moved yet, or nothing is undone any more: no time is over here.
            phase = self.phase if self.journey.committed else "Waiting" if missing else "Preparing"
            self.show(phase, wait=waiting(missing.reason, missing.message) if missing else None)
            event, reason, message = ("hold", missing.reason, missing.message) if missing else ("resumed", "", "")
            self.report(event, reason=reason, message=message)

    def _consider_hold(self) -> None:
        is_known = self.hold_until is not None or self.foreign.is_taking_over
        if self._hold is not None and not is_known and self.guard.verdict is None:
            self.announce_hold()

    def announce_hold(self) -> None:
        hold = _present(self._hold)
        self.hold_until = self.hold_until or workflow.now() + timedelta(seconds=self.order.hold_seconds)
        self.show()
        self.report("hold", reason=hold.reason, message=hold.message)

    def _on_foreign(self, field: str, message: str) -> None:
        self.foreign.meet(field, message)

    def end(self, outcome: Outcome, reason: str, message: str) -> None:
        if self.interrupt is None and not self.journey.committed:
            self.interrupt = Interrupt(outcome, reason, message)

    def _end_hold(self, reason: str = "", message: str = "") -> None:
        if self._hold is None:
            self.hold_until = None
            self.show(self.phase if self.phase != "Paused" else "Observing")
            self.report("resumed", reason=reason, message=message)

    def _on_release_lost(self) -> None:
        self.end("RolledBack", "Orphaned", RELEASE_GONE)

    def report(self, event: str, **more: Any) -> None:
        """Tells Release, without waiting."""
        self.outbox.send(
            Report.model_validate(
                {
                    "component": self._name,
                    "event": event,
                    "run_id": workflow.info().run_id,
                    "status": self._status(),
                    "at": workflow.now(),
                    **more,
                }
            )
        )

    def show(self, phase: Phase | None = None, summary: str = "", wait: Wait | None = None) -> None:
        """Shows a phase, a line and what is waited for; what is not given stays. A hold shows through."""
        if wait is None and self._is_held() and phase not in (*_ENDS, "RollingBack"):
            hold = _present(self._hold)
            phase, wait = "Paused", waiting(hold.reason, hold.message, self.hold_until)
        self.phase, self.wait = phase or self.phase, wait
        self.summary = summary or self.summary
        if phase in _ENDS:
            self.visibility.show({PHASE: phase})
        sentence = f"\n\n**Waiting:** {wait.message}" if wait else ""
        workflow.set_current_details(f"**{self.phase}** {self.summary}{sentence}")

    def _result(
        self, end: Interrupt, *, undone: bool = True, changed: bool = True, final: TargetState | None = None
    ) -> RolloutResult:
        return RolloutResult(
            component=self._name,
            outcome=end.outcome,
            reason=end.reason,
            message=end.message,
            undone=undone,
            changed=changed,
            final=final or TargetState(),
            metrics=self.guard.metrics,
            evidence=self.guard.weighed,
            timeline=timeline_of(self.guard.evidence),
            claim=self.claim,
            failure_log=self.failure_log,
            late=self.late,
        )

    @property
    def _name(self) -> str:
        return self.order.target.component


def _is_stranger() -> bool:
    """Whether nobody started this who may."""
    parent = workflow.info().parent
    return parent is None or not parent.workflow_id.startswith(_PARENTS)


def _present(value: Any) -> Any:
    """The value, which the order of steps guarantees to be there."""
    assert value is not None  # noqa: S101
    return value


async def _settled(task: asyncio.Task[None]) -> None:
    await workflow.wait([task])


def _drop(task: asyncio.Task[None]) -> None:
    """Cancels a task whose end nobody waits for; how it ends is of no interest any more."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
