"""The way back: fence out everybody else, then step by step to the recorded baseline, for as long as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.contracts.targets import (
    Acquired,
    AcquireRequest,
    SettleRequest,
    TargetActivities,
    UndoRequest,
    UndoState,
)
from workflows.contracts.traffic import RestoreRequest, TrafficActivities
from workflows.engine import calls
from workflows.engine.aftermath import Aftermath
from workflows.engine.reach import Reach
from workflows.engine.steps import StepFailed, StepRunner
from workflows.model.plan import Retire, Shift, Step
from workflows.model.target import SLOTS, Claim, Mark, Promoted, TargetState

_RETRY = timedelta(seconds=30)


class Abandoned(Exception):
    """A person ended a blocked undo."""


@dataclass(frozen=True)
class Undone:
    """How an undo ended: `nothing` means that the mark was gone already or is another run's."""

    outcome: Literal["restored", "nothing", "superseded", "abandoned"]
    message: str = ""
    state: TargetState = field(default_factory=TargetState)


@dataclass
class Undo:
    """One undo of one target. A step that fails for good is tried again slowly; it is never given up silently."""

    reach: Reach
    release_run: str
    """First run id of the release whose mark is undone."""
    rollout_run: str
    """The Rollout run whose mark is undone; empty for whichever run of the release left it."""
    on_step: Callable[[str, str, dict[Any, float] | None], None]
    """Hears the step's summary, what blocks it (or nothing), and the weights verified last."""
    kept: Promoted | None = None
    """What to remember beside the target: a version that was rolled back."""
    purpose: str = "undo"
    """What the fence is raised for: `restore` when this run's own release is still to come."""
    gathering: asyncio.Task[None] | None = None
    """Keeps what is known of the version that is undone; it ends by itself within seconds."""
    aftermath: Aftermath | None = None
    """Counts what still comes to a slot that is retired."""
    _abandoned: str | None = None
    _retry: bool = False

    def abandon(self, message: str) -> None:
        """Ends the undo and leaves the mark."""
        self._abandoned = message or "the undo was abandoned"

    def retry(self) -> None:
        """Tries a blocked step again now."""
        self._retry = True

    async def run(self) -> Undone:
        """Returns when the target is as recorded, or when somebody else owns it."""
        try:
            return await (self._run_far() if self.reach.target.queue else self._run())
        except StepFailed as error:
            return Undone("superseded", error.message)
        except (Abandoned, ActivityError):  # A step that was cancelled fails as an activity does.
            return Undone("abandoned", self._abandoned or "")

    async def _run_far(self) -> Undone:
        """While nobody works at the cluster's queue, no step comes back that could see that the undo was given up."""
        work = asyncio.create_task(self._run())
        await workflow.wait_condition(lambda: work.done() or self._is_given_up())
        if not work.done():
            work.cancel()
        return await work

    def _is_given_up(self) -> bool:
        return self._abandoned is not None and self.reach.missing is not None

    async def _run(self) -> Undone:
        acquired: Acquired = await self._insist(
            TargetActivities.acquire,
            AcquireRequest(
                target=self.reach.target,
                purpose=self.purpose,
                release_run=self.release_run,
                rollout_run=self.rollout_run,
            ),
            "Take the target to undo",
        )
        mark, claim = acquired.mark, acquired.claim
        if mark is None or claim is None:
            return Undone("nothing", "there is nothing to undo", acquired.state)
        runner = StepRunner(self.reach, claim, write=calls.UNDO, wait=calls.UNDO_WAIT)
        state, step, unseen = acquired.state, acquired.step, None
        while due := _due(step, unseen):
            self.on_step(due.summary, "", runner.verified)
            if self.gathering is not None and _are_users_back(mark.baseline, state):
                await workflow.wait([self.gathering])
            if self.aftermath is not None and isinstance(due.action, Retire):
                self.aftermath.begin(due.action.slot)
            try:
                await runner.perform(due)
                self.on_step(due.summary, "", runner.verified)
                unseen = None if isinstance(due.action, Shift) else unseen
            except StepFailed as error:
                await self._blocked(due.summary, error)
                unseen = due if _is_unseen(error) else unseen
            state, step = await self._next(mark)
        await self._finish(mark, claim)
        return Undone("restored", f"{mark.baseline.slot('stable').template_version} is back as it was", state)

    async def _next(self, mark: Mark) -> tuple[TargetState, Step | None]:
        left: UndoState = await self._insist(
            TargetActivities.next_undo, UndoRequest(target=self.reach.target, mark=mark), "See what is left to undo"
        )
        return left.state, left.step

    async def _finish(self, mark: Mark, claim: Claim) -> None:
        """The router's exact recorded state, then the mark."""
        if mark.baseline.traffic is not None:
            request = RestoreRequest(target=self.reach.target, claim=claim, state=mark.baseline.traffic)
            await self._insist(TrafficActivities.restore, request, "Restore the router's recorded state")
        settle = SettleRequest(target=self.reach.target, claim=claim, promoted=self.kept)
        await self._insist(TargetActivities.settle, settle, "Take the mark away")

    async def _insist(self, method: Callable[..., Any], request: Any, summary: str) -> Any:
        """Calls until it succeeds; only a fence ends it."""
        while True:
            try:
                return await self.reach.call(method, request, calls.UNDO, summary)
            except ActivityError as error:
                failure = calls.failure_of(error)
                await self._blocked(summary, StepFailed(failure.reason, failure.message))

    async def _blocked(self, summary: str, error: StepFailed) -> None:
        if error.reason == "Fenced":
            raise error
        if self._abandoned is not None:
            raise Abandoned
        self.on_step(summary, error.message, None)
        self._retry = False
        try:
            await workflow.wait_condition(lambda: self._retry or self._abandoned is not None, timeout=_RETRY)
        except TimeoutError:
            return
        if self._abandoned is not None:
            raise Abandoned


def _due(step: Step | None, unseen: Step | None) -> Step | None:
    """The next step; no instance ends while users may still be there, so a shift that nobody has seen comes first."""
    return unseen if unseen and (step is None or isinstance(step.action, Retire)) else step


def _is_unseen(error: StepFailed) -> bool:
    """Whether a shift was written and its weights were not seen at the data plane."""
    return error.reason == "WeightNotVerified" and workflow.patched("undo-waits-until-users-are-seen-back")


def _are_users_back(baseline: TargetState, state: TargetState) -> bool:
    """Whether every user is served by what ran before, so that nobody waits for the next step."""
    old = baseline.slot("stable").template
    if old is None or state.traffic is None:
        return False
    return all(state.slot(slot).is_purely(old.digest) for slot in SLOTS if state.weight(slot) > 0)
