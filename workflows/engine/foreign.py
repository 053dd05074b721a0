"""What a Rollout does about a foreign change: what the policy said when the release was planned.

While one stands, the guard holds: no user is moved, and what was changed is not told twice. Taking over is bounded, or
two writers would fight for ever.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.analysis.reasons import FOREIGN_CHANGE
from workflows.contracts.targets import TakeOverRequest, TargetActivities
from workflows.engine import calls
from workflows.engine.guard import Guard
from workflows.engine.reach import Reach
from workflows.model.decision import Decision
from workflows.model.policy import ForeignChanges
from workflows.model.status import Outcome
from workflows.model.target import Claim

_AGAIN = timedelta(minutes=10)
"""A field that is changed again within this time after it was taken over is somebody else's, for a person to settle."""
_WAYS = ": put it back and resume, resume with --take-over, or abort"


class Keeper(Protocol):
    """The Rollout, as far as foreign changes concern it."""

    claim: Claim | None

    def announce_hold(self) -> None:
        """Tells people of the hold that stands."""

    def resume_from(self, reason: str, message: str) -> None:
        """Ends the hold that was there for a reason, and tells of it."""

    def end(self, outcome: Outcome, reason: str, message: str) -> None:
        """Ends the way forward."""


class Foreign:
    """The foreign changes of one Rollout."""

    def __init__(self, policy: ForeignChanges, reach: Reach, guard: Guard, keeper: Keeper) -> None:
        self.taken: dict[str, datetime] = {}
        """When a field was taken over last."""
        self._policy = policy
        self._reach = reach
        self._guard = guard
        self._keeper = keeper
        self._taking: asyncio.Task[None] | None = None

    @property
    def stands(self) -> bool:
        """Whether something is changed at the moment and not settled yet."""
        hold = self._guard.hold
        return hold is not None and hold.reason == FOREIGN_CHANGE

    @property
    def is_taking_over(self) -> bool:
        """Whether what was written is being written again."""
        return self._taking is not None and not self._taking.done()

    def meet(self, field: str, message: str) -> None:
        """Answers a change of a field; nothing while another one stands."""
        if self.stands:
            return
        if self._policy == "rollback":
            self._keeper.end("RolledBack", FOREIGN_CHANGE, message)
            return
        self._hold(message)
        if self._policy == "takeOver" and self._is_first(field):
            self.taken[field] = workflow.now()
            self.take_over()
        else:
            self._keeper.announce_hold()

    def take_over(self) -> None:
        """Writes again what was written, and goes on."""
        hold = self._guard.hold
        if hold is not None and not self.is_taking_over:
            self._taking = asyncio.create_task(self._take_over(hold.message.removesuffix(_WAYS)))

    def stop(self) -> None:
        """Nothing is taken over any more."""
        if self._taking is not None:
            self._taking.cancel()

    def _is_first(self, field: str) -> bool:
        before = self.taken.get(field)
        return before is None or workflow.now() - before > _AGAIN

    def _hold(self, message: str) -> None:
        self._guard.hold = Decision(verdict="hold", reason=FOREIGN_CHANGE, message=message + _WAYS)

    async def _take_over(self, message: str) -> None:
        claim = self._keeper.claim
        assert claim is not None  # noqa: S101 - nothing is written without one
        request = TakeOverRequest(target=self._reach.target, claim=claim)
        try:
            await self._reach.call(
                TargetActivities.take_over, request, calls.USUAL, "Write again what somebody else changed"
            )
        except ActivityError as error:
            if not calls.is_cancelled(error):
                self._on_failure(calls.failure_of(error), message)
        else:
            self._taking = None
            self._keeper.resume_from(FOREIGN_CHANGE, message)

    def _on_failure(self, failure: calls.Failure, message: str) -> None:
        self._taking = None
        if failure.reason == "Fenced":
            self._keeper.end("Failed", "Superseded", failure.message)
        else:
            self._hold(f"{message}, and it cannot be put back ({failure.message})")
            self._keeper.announce_hold()
