"""What people say to a release, and what Release and Rollout say to each other."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from workflows.model.plan import ComponentPlan, Gate
from workflows.model.policy import ForeignChanges
from workflows.model.shapes import Document, Message, Name, Sentence, Version
from workflows.model.status import Outcome, RolloutStatus
from workflows.model.target import Mark, ReleaseRef, Target

MESSAGES = ("approve", "reject", "pause", "resume", "advance", "abort", "abandonUndo")
"""Names of the updates of Release and of their signal twins."""

_Person = Annotated[str, Field(min_length=1, max_length=200)]
_Text = Annotated[str, Field(max_length=2000)]


class Said(Document):
    """What every message carries."""

    first_run_id: Annotated[str, Field(min_length=1, max_length=200)]
    """The release's first run id, as `status` shows it: a message for another run is refused."""
    by: _Person = "unknown"
    """Who says so; unverified."""


class Voice(Said):
    """`approve` and `reject`."""

    gate: Annotated[str, Field(min_length=1, max_length=200)]
    """The gate's name; with several open gates of one name, its instance."""
    comment: _Text = ""


class Steer(Said):
    """`pause`, and what `resume` and `advance` have in common with it."""

    sequence: Annotated[int, Field(ge=0)]
    """The sequence number that `status` shows; a stale one is refused."""


class Resume(Steer):
    """`resume`."""

    take_over: bool = False
    """Write again what somebody else changed; without it a release goes on only when that was put back."""


class Advance(Steer):
    """`advance`: ends the current observation early; `full` goes on to promotion."""

    full: bool = False


class Abort(Said):
    """`abort`."""

    reason: _Text = ""


class AbandonUndo(Said):
    """`abandonUndo`: ends a release whose undo is blocked and leaves the mark."""

    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class Receipt(Message):
    """What an update answers: it is queued, and what the release looked like."""

    accepted: bool = True
    phase: str = ""
    sequence: int = 0
    message: str = ""


class RolloutOrder(Message):
    """The single argument of Rollout."""

    release: ReleaseRef
    mode: Literal["release", "rollback", "undo"] = "release"
    """`undo` restores a target from its mark alone."""
    component: ComponentPlan | None = None
    target: Target
    digest: str = ""
    """Digest of the release's plan, for gate instances."""
    mark: Mark | None = None
    """For `undo`: the mark that must still be there."""
    restart: bool = False
    again: bool = False
    hold_seconds: float = 4 * 3600
    analysis_required: bool = False
    foreign_changes: ForeignChanges = "hold"
    open_barriers: tuple[str, ...] = ()
    """Barriers nobody has to be waited for at; a component that is released alone has all of them open."""
    history_limit: int = 4000
    """Events after which the Rollout continues as new at its next wait."""
    resume: dict[str, Any] | None = None
    """The `Checkpoint` of the run before this one, when it continued as new."""


class Command(Message):
    """Release to Rollout, by signal."""

    name: Literal["go", "granted", "pause", "resume", "advance", "abort", "undo", "abandonUndo"]
    barrier: str = ""
    """For `go`: `start`, `promote` or `commit`."""
    instance: str = ""
    """For `granted`: the gate instance."""
    full: bool = False
    take_over: bool = False
    reason: str = ""
    """For `abort` and `undo`: a constant."""
    message: Sentence = ""


class Report(Message):
    """Rollout to Release, by signal."""

    component: str
    event: Literal[
        "captured", "waiting", "gateWanted", "stage", "hold", "resumed", "passed", "watched", "undoing", "ended"
    ]
    run_id: str = ""
    status: RolloutStatus = RolloutStatus(component="")
    gate: Gate | None = None
    instance: str = ""
    outcome: Outcome | None = None
    """For `undoing` and `ended`."""
    reason: str = ""
    message: Sentence = ""
    changes: bool = True
    """For `captured`: False when the target already runs this version."""
    at: datetime | None = None


class RollbackOrder(Document):
    """The single argument of Rollback."""

    environment: Name
    name: Name
    version: Version
    """A version that was promoted here before."""
    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    by: _Person = "unknown"
