"""Lock, mark and settle a target: everything that makes a release undoable and fenced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from temporalio import activity

from workflows.contracts.workloads import RetireRequest
from workflows.model.plan import ComponentPlan, RolloutPlan, Step
from workflows.model.shapes import Message, Sentence
from workflows.model.target import Backend, Claim, Mark, Promoted, ReleaseRef, Target, TargetState, Template


class CaptureRequest(Message):
    target: Target
    release: ReleaseRef
    template: Template
    """What the release wants to run."""
    component: ComponentPlan | None = None
    """Given, the steps from the captured baseline are planned as well."""
    kind: Literal["release", "rollback"] = "release"
    analysis_required: bool = False
    restart: bool = False
    """Release even when the target already runs exactly this."""
    again: bool = False
    """Release even when this version was rolled back here."""


class RolloutPlanned(Message):
    """The steps, or why there are none."""

    plan: RolloutPlan | None = None
    reason: str = ""
    message: Sentence = ""


class Captured(Message):
    """What capture found: only `captured` changed anything.

    `running`: the target already runs the template. `held`: another open run's mark; `holder` names it. `orphaned`: a
    closed run's mark, which must be settled first. `refused`: this version was rolled back here before.
    """

    status: Literal["captured", "running", "held", "orphaned", "refused"]
    baseline: TargetState = TargetState()
    claim: Claim | None = None
    holder: str = ""
    mark: Mark | None = None
    advisory: tuple[str, ...] = ()
    """Objects whose fence is advisory only."""
    planned: RolloutPlanned | None = None
    message: Sentence = ""


class AcquireRequest(Message):
    target: Target
    purpose: str = "undo"
    release_run: str = ""
    """Given, a mark of another release is left alone, and so is its fence."""
    rollout_run: str = ""
    """Given, the same for the mark of another Rollout run."""

    def is_about(self, mark: Mark) -> bool:
        """Whether this mark is the one that is meant."""
        release, rollout = mark.release.first_run_id, mark.rollout_run_id
        return self.release_run in ("", release) and self.rollout_run in ("", rollout)


class Acquired(Message):
    claim: Claim | None = None
    """None when the mark is somebody else's: nothing was touched."""
    state: TargetState = TargetState()
    """The target as observed right after the fence was raised."""
    mark: Mark | None = None
    """None when there is nothing to undo: the target is settled already, or its mark is somebody else's."""
    step: Step | None = None
    """The first step of the undo; None when the target is as the mark's baseline says."""


class TakeOverRequest(Message):
    target: Target
    claim: Claim


class UndoRequest(Message):
    target: Target
    mark: Mark


class UndoState(Message):
    state: TargetState
    step: Step | None = None
    """What undo does next, computed from the baseline and what is there; None when nothing is left to do."""


class SettleRequest(Message):
    target: Target
    claim: Claim
    promoted: Promoted | None = None
    """Kept beside the target; None after an undo of a version that never took traffic."""
    retire: RetireRequest | None = None
    """What is drained and removed before."""
    weights: dict[Backend, float] = {}
    """Written once that is gone: an object that both versions shared forgets the one that was removed."""


class AwaitGitRequest(Message):
    target: Target
    claim: Claim
    limit_seconds: float


class GitState(Message):
    named: bool
    """Git says what the target runs."""
    message: str = ""
    """What is missing, in one sentence, when it does not."""


class MarkFound(Message):
    mark: Mark
    orphaned: bool
    """The mark's run is closed or gone, and nobody holds the target's lock."""
    forsaken: bool = False
    """The mark's run is open, and the release that started it is not."""


class FindPromoted(Message):
    environment: str
    release: str


class TargetActivities(ABC):
    """What workflows do to a target as a whole."""

    @activity.defn(name="targets.capture")
    @abstractmethod
    async def capture(self, request: CaptureRequest) -> Captured:
        """Raises the fence of the whole write set, reads the baseline and writes the mark, in this order; then plans.

        Idempotent by owner (workflow id, run id from `activity.info()`): a second attempt answers what the first
        recorded. Never takes a marked target for a baseline.
        """

    @activity.defn(name="targets.acquire")
    @abstractmethod
    async def acquire(self, request: AcquireRequest) -> Acquired:
        """Raises the fence of every object in the write set for a new purpose and reads the target back.

        Idempotent by owner; afterwards every older claim is refused. Errors: NotFound.
        """

    @activity.defn(name="targets.find_mark")
    @abstractmethod
    async def find_mark(self, target: Target) -> Mark | None:
        """The mark beside the target, so that whoever waits for its lock can name the holder; changes nothing."""

    @activity.defn(name="targets.take_over")
    @abstractmethod
    async def take_over(self, request: TakeOverRequest) -> None:
        """Writes what the release wrote last over what somebody else made of it; nothing where nobody did.

        Errors: Fenced, NotReady, Rejected when it is not known any more.
        """

    @activity.defn(name="targets.next_undo")
    @abstractmethod
    async def next_undo(self, request: UndoRequest) -> UndoState:
        """Reads the target and says the next step back to the mark's baseline; changes nothing."""

    @activity.defn(name="targets.await_git")
    @abstractmethod
    async def await_git(self, request: AwaitGitRequest) -> GitState:
        """Waits, heartbeating, until Git says what the target runs; "not yet" is a value. Errors: Fenced."""

    @activity.defn(name="targets.settle")
    @abstractmethod
    async def settle(self, request: SettleRequest) -> None:
        """Takes the mark away and keeps the promoted or rolled-back version; without a mark it does nothing.

        Removes what is left of the other version before, if asked; heartbeats, and resumes a drain. Errors: Fenced.
        """

    @activity.defn(name="targets.find_marks")
    @abstractmethod
    async def find_marks(self) -> list[MarkFound]:
        """Every mark on every target these settings reach, each with whether its run is gone; changes nothing.

        Without their baselines, whose pod templates would fill an answer of some hundred marks: whoever takes a mark
        up reads it again, as `acquire` does.
        """

    @activity.defn(name="targets.find_promoted")
    @abstractmethod
    async def find_promoted(self, request: FindPromoted) -> list[Promoted]:
        """The versions kept beside the targets of a release, newest first."""
