"""Leads one group of Rollouts from plan to end: what Release and Rollback share.

It owns approvals, pause and the outcome; the Rollouts own steps and weights. It never closes before each of its
Rollouts has.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import SearchAttributeKey

from workflows.analysis.reasons import FOREIGN_CHANGE
from workflows.engine.compensation import complete
from workflows.engine.gates import Gates
from workflows.engine.group import Group, Member
from workflows.engine.journal import Journal
from workflows.engine.visibility import ENVIRONMENT, NAME, PHASE, VERSION, WAITING_FOR, WEIGHT, Visibility
from workflows.model.messages import Report, RolloutOrder
from workflows.model.plan import ReleasePlan
from workflows.model.status import (
    Outcome,
    Phase,
    Refusal,
    ReleaseResult,
    ReleaseStatus,
    RolloutResult,
    Wait,
)
from workflows.model.target import ReleaseRef

_KEPT_REFUSALS = 20
_REPORTED = {"component", "metrics", "evidence", "timeline"}
_HANDLER_GRACE = timedelta(seconds=30)
_UNCUT = ("", "\u00a0")
"""The UI's box has no room for lines that it wraps; what is cut off then is this."""
_ORDER: tuple[Phase, ...] = (
    "Pending", "Waiting", "Preparing", "Shifting", "Observing", "Paused", "Promoting", "Watching", "Committing",
)  # fmt: skip


@dataclass(frozen=True)
class End:
    """Why the release goes back."""

    outcome: Outcome
    reason: str
    message: str


class Conductor:
    """One group on its way; the workflow that owns it forwards messages, reports and queries."""

    def __init__(self) -> None:
        self.plan: ReleasePlan | None = None
        self.group: Group | None = None
        self.gates = Gates()
        self.journal = Journal()
        self.visibility = Visibility()
        self.phase: Phase = "Pending"
        self.wait: Wait | None = None
        self.end: End | None = None
        self.ends_early = False
        """Somebody aborted it before there was a plan."""
        self.paused = False
        self.sequence = 0
        self.refused: list[Refusal] = []
        self.committing = False
        self.started_at = workflow.now()
        self.message = ""

    async def run(self, plan: ReleasePlan) -> ReleaseResult:
        """Carries the plan out and returns how it ended; a cancel is undone first and raised again at the end."""
        self._introduce(plan)
        group = self.group = Group(self._members(plan))
        cancelled = False
        try:
            await self._go_forward(group, plan)
        except asyncio.CancelledError:
            cancelled = True
            self.finish_as("Aborted", "Cancelled", "the workflow was cancelled")
        await complete(self._close(group))
        result = self._result(group)
        await complete(self._say_goodbye(result))
        if cancelled and result.outcome == "Aborted":
            raise asyncio.CancelledError
        return result

    def on_report(self, payload: Any) -> None:
        """Takes what a Rollout reports."""
        try:
            report = Report.model_validate(payload)
        except ValidationError:
            workflow.logger.warning("an unreadable report was ignored")
            return
        member = self.group.find(report.component) if self.group else None
        if member is not None:
            self._hear(member, report)

    def status(self) -> ReleaseStatus:
        """The release as it stands."""
        info, plan = workflow.info(), self.plan
        return ReleaseStatus(
            environment=plan.environment if plan else "",
            name=plan.name if plan else "",
            version=plan.version if plan else "",
            workflow_id=info.workflow_id,
            first_run_id=info.first_execution_run_id,
            phase=self.phase,
            sequence=self.sequence,
            paused=self.paused,
            wait=self.wait,
            components=tuple(member.status for member in self.group.members) if self.group else (),
            gates=self.gates.all(),
            refused=tuple(self.refused),
            plan_digest=plan.digest if plan else "",
            change=plan.change if plan else {},
            warnings=plan.warnings if plan else (),
            started_at=self.started_at,
            message=self.message,
        )

    def tell(self, component: str, name: str, **more: Any) -> None:
        """Sends a command to one component's Rollout."""
        member = self.group.find(component) if self.group else None
        if member is not None:
            member.tell(name, **more)

    def tell_all(self, name: str, **more: Any) -> None:
        """Sends a command to every Rollout that still runs."""
        for member in self.group.running() if self.group else ():
            member.tell(name, **more)

    def refuse(self, refusal: Refusal) -> None:
        """Keeps the newest refusals for `status`."""
        self.refused = [*self.refused[1 - _KEPT_REFUSALS :], refusal]

    def _introduce(self, plan: ReleasePlan) -> None:
        self.plan = plan
        info = workflow.info()
        self.journal.release = ReleaseRef(
            workflow_id=info.workflow_id,
            first_run_id=info.first_execution_run_id,
            environment=plan.environment,
            name=plan.name,
            version=plan.version,
        )
        components = [component.name for component in plan.components]
        self.journal.record("deployment_initiated", version=plan.version, plan=plan.digest, components=components)
        self.journal.tell("release_started", f"{plan.name} {plan.version} to {plan.environment}", ", ".join(components))
        self.refresh()

    def _members(self, plan: ReleasePlan) -> list[Member]:
        alone = ("start", "promote", "commit") if len(plan.components) == 1 else ()
        return [
            Member(
                RolloutOrder(
                    release=_present(self.journal.release),
                    component=component,
                    target=component.target,
                    digest=plan.digest,
                    restart=plan.restart,
                    hold_seconds=plan.hold_seconds,
                    mode=plan.kind,
                    again=plan.again,
                    analysis_required=plan.analysis_required,
                    foreign_changes=plan.foreign_changes,
                    open_barriers=alone,
                    history_limit=plan.history_limit,
                ),
                component.wave,
                self._on_member,
            )
            for component in plan.components
        ]

    async def _go_forward(self, group: Group, plan: ReleasePlan) -> None:
        """Captures, goes by waves, promotes and commits; returns early when something ends the way forward."""
        if self.ends_early:
            return
        capture = asyncio.create_task(group.capture())
        try:
            await workflow.wait_condition(lambda: capture.done() or self._is_over())
        finally:
            capture.cancel()
        while not self._is_over() and not group.is_over:
            self._advance_group(group, plan)
            await workflow.wait_condition(partial(self._has_moved, group, self._progress(group)))

    def _is_over(self) -> bool:
        return self.end is not None and not self.committing

    def _has_moved(self, group: Group, before: tuple[object, ...]) -> bool:
        return self._is_over() or self._progress(group) != before

    def _progress(self, group: Group) -> tuple[object, ...]:
        return tuple((frozenset(member.events), member.is_over) for member in group.members)

    def _advance_group(self, group: Group, plan: ReleasePlan) -> None:
        """Tells each member what it may do now."""
        moving = [m for m in group.running() if "start" in m.open and "passed" not in m.events]
        for member in group.members:
            lower = [other for other in group.members if other.wave < member.wave]
            free = len(moving) < plan.parallel
            if "start" not in member.open and free and all(_is_through(other) for other in lower):
                member.go("start")
                moving.append(member)
        everybody = all(_is_through(member) for member in group.members)
        for member in group.members:
            if _is_through(member) and (everybody or plan.promote == "independently"):
                member.go("promote")
        if all(member.is_over or "watched" in member.events for member in group.members):
            self.committing = True
            for member in group.members:
                member.go("commit")
            self.refresh()

    async def _close(self, group: Group) -> None:
        """Ends every Rollout: forward when committed, back otherwise."""
        end = self.end
        if not group.is_over and end is not None and not self.committing:
            self.refresh()
            await group.undo("abort" if end.outcome == "Aborted" else "undo", reason=end.reason, message=end.message)
        started = group.members
        await workflow.wait_condition(lambda: all(member.is_over for member in started))

    def _result(self, group: Group) -> ReleaseResult:
        plan = _present(self.plan)
        results = tuple(member.result for member in group.members if member.result is not None)
        end = self._verdict(results)
        return ReleaseResult(
            environment=plan.environment,
            name=plan.name,
            version=plan.version,
            outcome=end.outcome,
            reason=end.reason,
            message=end.message,
            components=results,
            started_at=self.started_at,
            ended_at=workflow.now(),
        )

    def _verdict(self, results: tuple[RolloutResult, ...]) -> End:
        """One end for the whole group."""
        stuck = next((r for r in results if not r.undone), None)
        if stuck is not None:
            return End("Failed", stuck.reason, f"{stuck.component}: {stuck.message}")
        promoted = bool(results) and all(r.outcome == "Succeeded" for r in results)
        if self.end is not None and not promoted:
            return self.end
        bad = next((r for r in results if r.outcome != "Succeeded"), None)
        if bad is not None:
            return End(bad.outcome, bad.reason, f"{bad.component}: {bad.message}")
        if all(r.reason == "AlreadyRunning" for r in results):
            return End("Succeeded", "AlreadyRunning", "every component already runs this version")
        return End("Succeeded", "Promoted", f"{_present(self.plan).version} takes all traffic")

    async def _say_goodbye(self, result: ReleaseResult) -> None:
        plan = _present(self.plan)
        self.message = result.message
        self.phase, self.wait = result.outcome, None
        self._show_end(result)
        events = {
            "Succeeded": "deployment_succeeded",
            "RolledBack": "rollback_executed",
            "Aborted": "deployment_aborted",
        }
        severity = {"Succeeded": "info", "Aborted": "warning", "Rejected": "warning"}.get(result.outcome, "critical")
        event = events.get(result.outcome, "deployment_failed")
        self._record_reports(result)
        logs = {part.component: part.failure_log for part in result.components if part.failure_log}
        late = {part.component: part.late.message for part in result.components if part.late}
        self.journal.record(
            event, outcome=result.outcome, reason=result.reason, message=result.message, logs=logs, late=late
        )
        self.journal.tell(
            event,
            f"{plan.name} {plan.version} in {plan.environment}: {result.outcome}",
            result.message,
            severity,  # type: ignore[arg-type]
        )
        self._show_details()
        await self.journal.flush()
        try:
            await workflow.wait_condition(workflow.all_handlers_finished, timeout=_HANDLER_GRACE)
        except TimeoutError:
            workflow.logger.warning("a message handler did not finish in time")

    def _record_reports(self, result: ReleaseResult) -> None:
        """Leaves to the record what every observation saw; it goes with the last batch, so it costs no history."""
        for part in result.components:
            if part.metrics:
                said = part.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=_REPORTED)
                self.journal.record("analysis_reported", **said)

    def _show_end(self, result: ReleaseResult) -> None:
        """A closed run keeps its attributes for ever, so they say how it ended and who has the users now."""
        ended: dict[SearchAttributeKey[Any], str | float] = {PHASE: result.outcome, WAITING_FOR: ""}
        if result.outcome == "Succeeded":
            ended[WEIGHT] = 100.0
        elif all(item.undone for item in result.components):
            ended[WEIGHT] = 0.0
        self.visibility.show(ended)

    # --- what the Rollouts say ----------------------------------------

    def _hear(self, member: Member, report: Report) -> None:
        before = member.status.verified
        member.hear(report)
        if report.status.verified and report.status.verified != before:
            self.journal.record("traffic_switched", component=member.name, weights=report.status.verified)
        if report.event == "gateWanted" and report.gate is not None:
            self._open_gate(member, report)
        elif report.event == "hold":
            critical = report.reason == "UndoBlocked"
            self.journal.record("hold", component=member.name, reason=report.reason, message=report.message)
            title = f"{member.name} waits for a person: {report.reason}"
            self.journal.tell("hold", title, report.message, "critical" if critical else "warning")
        elif report.event == "resumed" and report.reason == FOREIGN_CHANGE:
            self.journal.record("foreign_change_taken_over", component=member.name, message=report.message)
            self.journal.tell("taken_over", f"{member.name}: written again", report.message, "warning")
        elif report.event == "undoing":
            self.journal.record("undo_started", component=member.name, reason=report.reason, message=report.message)
            self._on_failure(member, End(report.outcome or "RolledBack", report.reason, report.message))
        self.refresh()

    def _open_gate(self, member: Member, report: Report) -> None:
        gate = self.gates.ask(_present(report.gate), report.instance, member.name, workflow.now())
        if gate is not None:
            self.journal.record("approval_requested", gate=gate.name, instance=gate.instance)
            groups = ", ".join(gate.groups) or "anybody"
            self.journal.tell("approval_wanted", f"Approve {gate.name}?", f"{gate.count} of {groups}", "warning")
        elif any(known.instance == report.instance and known.state == "approved" for known in self.gates.all()):
            member.tell("granted", instance=report.instance)

    def _on_member(self, member: Member) -> None:
        """A member's Rollout started, reported or ended."""
        result = member.result
        if result is not None and result.outcome != "Succeeded":
            self._on_failure(member, End(result.outcome, result.reason, result.message))
        self.refresh()

    def _on_failure(self, member: Member, end: End) -> None:
        """Decides for the others, once and as soon as one goes back: its undo may be blocked for long."""
        if member.failed or self.end is not None:
            return
        member.failed = True
        plan = _present(self.plan)
        if plan.on_failure == "hold" and any(other is not member for other in _present(self.group).running()):
            self.paused = True
            self.sequence += 1
            self.tell_all("pause")
            self.journal.tell("hold", f"{member.name} failed; the others are paused", end.message, "critical")
            return
        if plan.on_failure == "rollbackFailed" and not self._is_needed(member):
            return
        self.finish_as(end.outcome, end.reason, f"{member.name}: {end.message}")

    def _is_needed(self, member: Member) -> bool:
        """Whether another component that still runs depends on this one."""
        plan = _present(self.plan)
        return any(
            member.name in component.component.get("dependsOn", ())
            for component in plan.components
            if component.name != member.name
        )

    def finish_as(self, outcome: Outcome, reason: str, message: str) -> None:
        """Ends the way forward; the first reason counts, and after commit none does."""
        if self.end is None and not self.committing:
            self.end = End(outcome, reason, message)

    def refresh(self) -> None:
        """Phase, wait and search attributes from what the members last said."""
        if self.plan is None:
            return
        self.phase, self.wait = self._sum_up()
        members = self.group.members if self.group else []
        self.visibility.show(
            {
                NAME: self.plan.name,
                ENVIRONMENT: self.plan.environment,
                VERSION: self.plan.version,
                PHASE: self.phase,
                WEIGHT: min((member.status.weight for member in members), default=0.0),
                WAITING_FOR: self.wait.reason if self.wait else "",
            }
        )
        self._show_details()

    def _sum_up(self) -> tuple[Phase, Wait | None]:
        if self.group is not None and self.group.is_over:
            return self.phase, None  # The end follows in this activation and says what it is.
        if self.end is not None and not self.committing:
            return "RollingBack", self._first_wait()
        if self.paused and not self.committing:
            return "Paused", Wait(reason="Paused", message="somebody paused the release; resume or abort it")
        gate = next(iter(self.gates.open()), None)
        wait = self._first_wait()
        if gate is not None:
            groups = ", ".join(gate.groups) or "anybody"
            done = sum(vote.decision == "approve" for vote in gate.votes)
            message = f"gate {gate.name} has {done} of {gate.count} approvals; {groups} may decide"
            wait = Wait(reason="ApprovalWanted", message=message, since=gate.opened_at, until=gate.expires_at)
        phases = [member.status.phase for member in self.group.running()] if self.group else []
        if "RollingBack" in phases:
            return "RollingBack", wait
        known = [phase for phase in phases if phase in _ORDER]
        return min(known, key=_ORDER.index, default="Committing" if self.committing else "Pending"), wait

    def _first_wait(self) -> Wait | None:
        members = self.group.running() if self.group else []
        waits = [member.status.wait for member in members if member.status.wait is not None]
        return next((w for w in waits if w.reason != "Group"), next(iter(waits), None))

    def _show_details(self) -> None:
        plan = _present(self.plan)
        lines = [f"**{plan.name} {plan.version} → {plan.environment}: {self.phase}**", ""]
        if self.message or self.end:
            lines += [self.message or _present(self.end).message, ""]
        if self.wait is not None:
            lines += [f"**Waiting:** {self.wait.message}", ""]
        for gate in self.gates.open():
            what = f"{plan.environment}/{plan.name} --gate {gate.name}{' --rollback' * (plan.kind == 'rollback')}"
            lines += [f"Answer: `headgate approve {what}`", ""]
        for member in self.group.members if self.group else ():
            status = member.status
            doing = "" if status.wait and status.wait == self._first_wait() else f": {status.summary}"
            lines.append(f"- `{member.name}` {status.phase}, {status.weight:g} % of users{doing}")
        workflow.set_current_details("\n".join((*lines, *_UNCUT)))


def _present(value: Any) -> Any:
    """The value, which the order of steps guarantees to be there."""
    assert value is not None  # noqa: S101
    return value


def _is_through(member: Member) -> bool:
    """Whether nobody has to wait for this member's stages any more."""
    return member.is_over or "passed" in member.events
