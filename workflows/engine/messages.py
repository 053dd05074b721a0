"""What people say to a release: judged and carried out when it arrives.

Handlers never wait: ten that do would block `abort` at the server's limit. Validators judge only what the release knows
itself; a signal cannot be refused to its sender, so its refusal is kept for `status` and audit.

Commands that follow from an update are in a fixed order with those of its workflow task only because our workers carry
updates out last; see `worker/ordering.py`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from temporalio import workflow

from workflows.analysis.reasons import FOREIGN_CHANGE
from workflows.engine import inbox
from workflows.engine.conductor import Conductor
from workflows.engine.inbox import Refused
from workflows.model.messages import AbandonUndo, Abort, Advance, Receipt, Resume, Said, Steer, Voice
from workflows.model.status import GateStatus, Refusal

_COMMITTED = "every component is promoted; nothing is held up or undone any more. Use `headgate rollback` instead"


class Messages:
    """The messages of one release; every one is an update with a signal twin of the same name and payload."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        for name in inbox.SHAPES:
            self._listen(name)

    def _listen(self, name: str) -> None:
        """Gives the release one update and its signal twin, equal in name and payload.

        This module does without postponed annotations: the SDK would compile those of every handler in every run.
        """

        async def update(payload: Any = None) -> Receipt:
            return self._take(name, self._judge(name, payload))

        def validate(payload: Any = None) -> None:
            self._judge(name, payload)

        def signal(payload: Any = None) -> None:
            self._take_signal(name, payload)

        workflow.set_update_handler(name, update, validator=validate)
        workflow.set_signal_handler(name, signal)

    def _judge(self, name: str, payload: Any) -> Said:
        """The message, when it can be taken now. Errors: Refused."""
        said = inbox.read(name, payload, workflow.info().first_execution_run_id)
        objection = self._objection(name, said)
        if objection is not None:
            raise Refused(objection)
        return said

    def _objection(self, name: str, said: Said) -> str | None:
        """What Release itself knows against a message; None when there is nothing."""
        if self._conductor.group is None and not _is_urgent(said):
            return f"{name}: the release is still being planned; try again in a moment"
        if isinstance(said, AbandonUndo):
            return None if self._is_undo_blocked() else "abandonUndo: no undo is blocked"
        end = self._conductor.end
        if end is not None and not (name == "resume" and self._is_undo_blocked()):
            return f"{name}: the release already goes back ({end.reason}): {end.message}"
        if isinstance(said, Voice):
            return self._conductor.gates.objection(said)
        if self._conductor.committing and not isinstance(said, Resume):
            return f"{name}: {_COMMITTED}"
        return self._abort_objection(said) if isinstance(said, Abort) else self._steer_objection(name, said)

    def _is_undo_blocked(self) -> bool:
        return any(member.is_blocked for member in self._conductor.group.members) if self._conductor.group else False

    def _abort_objection(self, said: Abort) -> str | None:
        if said.reason == "superseded" and self._conductor.plan is not None and not self._conductor.plan.can_supersede:
            return f"abort: the policy of {self._conductor.plan.environment} lets no release supersede a running one"
        return None

    def _steer_objection(self, name: str, said: Said) -> str | None:
        if not isinstance(said, Steer):
            return f"{name}: not understood"
        if said.sequence != self._conductor.sequence:
            now = self._conductor.sequence
            return f"{name}: sequence {said.sequence} is stale, the release is at {now}; look at its status first"
        if name == "pause" and self._conductor.paused:
            return "pause: the release is paused already"
        if isinstance(said, Resume):
            return self._resume_objection(said)
        if name == "advance" and self._conductor.plan is not None and not self._conductor.plan.can_advance:
            return f"advance: the policy of {self._conductor.plan.environment} does not allow it"
        return None

    def _resume_objection(self, said: Resume) -> str | None:
        if not self._conductor.paused and not self._is_held():
            return "resume: the release is neither paused nor held"
        if said.take_over and not self._is_held(FOREIGN_CHANGE):
            return "resume: nobody else changed anything, so there is nothing to take over"
        return None

    def _is_held(self, reason: str = "") -> bool:
        members = self._conductor.group.members if self._conductor.group else []
        waits = [member.status.wait for member in members]
        return any(wait is not None and reason in ("", wait.reason) for wait in waits)

    def _take(self, name: str, said: Said) -> Receipt:
        table: dict[type[Said], Callable[[str, Any], None]] = {
            Voice: self._vote,
            Abort: self._abort,
            Advance: self._advance,
            AbandonUndo: self._abandon,
            Steer: self._pause,
            Resume: self._resume,
        }
        table[type(said)](name, said)
        return Receipt(phase=self._conductor.phase, sequence=self._conductor.sequence, message=f"{name} is taken")

    def _take_signal(self, name: str, payload: Any) -> None:
        try:
            said = self._judge(name, payload)
        except Refused as error:
            self._conductor.refuse(
                Refusal(message=name, reason=error.message[:500], by=_sender(payload), at=workflow.now())
            )
            self._conductor.journal.record(
                "message_refused", actor=_sender(payload), message=name, reason=error.message[:500]
            )
        else:
            self._take(name, said)

    async def expire_gates(self) -> None:
        """Closes the gates that nobody answers in time, until the release ends."""
        while True:
            until = self._conductor.gates.next_expiry()
            left = None if until is None else max(until - workflow.now(), timedelta(0))
            try:
                await workflow.wait_condition(partial(self._has_moved, until), timeout=left)
            except TimeoutError:
                for gate in self._conductor.gates.expire(workflow.now()):
                    self._close_gate(gate, "nobody opened it in time")

    def _has_moved(self, until: datetime | None) -> bool:
        return self._conductor.gates.next_expiry() != until

    def _vote(self, name: str, said: Voice) -> None:
        gate = self._conductor.gates.vote(said, name, workflow.now())
        if gate is None:
            return
        event = "approval_granted" if name == "approve" else "approval_denied"
        self._conductor.journal.record(
            event, actor=said.by, gate=gate.name, instance=gate.instance, comment=said.comment
        )
        if gate.state == "approved":
            for component in self._conductor.gates.askers(gate.instance):
                self._conductor.tell(component, "granted", instance=gate.instance)
        elif gate.state == "rejected":
            self._close_gate(gate, f"{said.by} rejected it" + (f": {said.comment}" if said.comment else ""))
        self._conductor.refresh()

    def _close_gate(self, gate: GateStatus, why: str) -> None:
        moved = self._conductor.group is not None and any(member.exposed for member in self._conductor.group.members)
        reason = "ApprovalExpired" if gate.state == "expired" else "ApprovalRejected"
        self._conductor.finish_as("RolledBack" if moved else "Rejected", reason, f"gate {gate.name}: {why}")

    def _abort(self, _name: str, said: Abort) -> None:
        if self._conductor.group is None:
            if not workflow.patched("abort-while-planning"):
                return  # It was refused then.
            self._conductor.ends_early = True
        self._conductor.journal.record("abort_requested", actor=said.by, reason=said.reason)
        reason = "Superseded" if said.reason == "superseded" else "Aborted"
        self._conductor.finish_as(
            "Aborted", reason, f"aborted by {said.by}" + (f": {said.reason}" if said.reason else "")
        )

    def _pause(self, _name: str, said: Steer) -> None:
        self._steer(said, "pause", is_paused=True)

    def _resume(self, _name: str, said: Resume) -> None:
        self._steer(said, "resume", is_paused=False, take_over=said.take_over)

    def _steer(self, said: Steer, name: str, *, is_paused: bool, **more: Any) -> None:
        self._conductor.sequence += 1
        self._conductor.paused = is_paused
        self._conductor.journal.record(f"{name}_requested", actor=said.by, **more)
        self._conductor.tell_all(name, **more)
        self._conductor.refresh()

    def _advance(self, _name: str, said: Advance) -> None:
        self._conductor.sequence += 1
        self._conductor.journal.record("advance_requested", actor=said.by, full=said.full)
        self._conductor.tell_all("advance", full=said.full)

    def _abandon(self, _name: str, said: AbandonUndo) -> None:
        self._conductor.journal.record("undo_abandoned", actor=said.by, reason=said.reason)
        self._conductor.tell_all("abandonUndo", message=f"{said.by} abandoned the undo: {said.reason}")


def _is_urgent(said: Said) -> bool:
    """Whether it is taken before there is a plan; what policy decides waits for that."""
    return isinstance(said, Abort) and said.reason != "superseded"


def _sender(payload: Any) -> str:
    return str(payload.get("by", "unknown"))[:200] if isinstance(payload, dict) else "unknown"
