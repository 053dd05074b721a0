"""The plan: what the planner decides and the workflows carry out, recorded in history.

A recorded plan is interpreted by whatever version of the code runs later; so fields only ever get added.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from workflows.model.policy import ForeignChanges
from workflows.model.shapes import Message, Sentence
from workflows.model.status import Phase
from workflows.model.target import Backend, Slot, Target, TargetState, Template


class Gate(Message):
    """People who must agree before a step."""

    name: str
    count: int = 1
    groups: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    """Everybody who counts, lower case; empty means anybody, because policy named no member."""
    expires_seconds: float = 4 * 3600


class Deploy(Message):
    """The slot runs `replicas` of `template`; in place and a few at a time when it ran something else."""

    kind: Literal["deploy"] = "deploy"
    slot: Slot
    template: Template
    replicas: int
    max_surge: int = 1
    max_unavailable: int = 0
    share: float = 0
    """Percent of the stable slot's number that the slot must have at least, where an autoscaler has raised that one."""
    drain_seconds: float = 0
    """For open requests of users who have left the slot, before what it runs is taken away."""


class Scale(Message):
    """The slot runs `replicas` of what it runs."""

    kind: Literal["scale"] = "scale"
    slot: Slot
    replicas: int
    share: float = 0
    """As in Deploy."""
    drain_seconds: float = 0
    """As in Deploy."""


class WaitReady(Message):
    """Waits until the slot has exactly `replicas` ready instances of what it wants."""

    kind: Literal["waitReady"] = "waitReady"
    slot: Slot
    replicas: int
    timeout_seconds: float = 300


class RunChecks(Message):
    """Asks every ready instance of the slot whether it works."""

    kind: Literal["check"] = "check"
    slot: Slot
    checks: tuple[dict[str, Any], ...]


class Shift(Message):
    """Absolute weights, verified before the next step."""

    kind: Literal["shift"] = "shift"
    weights: dict[Backend, float]
    preview_to: Slot | None = None
    minimum_ready: dict[Backend, int] = {}
    mirror: float = 0
    """Percent of the requests that are copied to the previewed slot, for people; the router reads the document."""


class Approve(Message):
    """Waits for people; the guard goes on meanwhile."""

    kind: Literal["approve"] = "approve"
    gate: Gate


class Observe(Message):
    """Waits for observed time since the last verified shift."""

    kind: Literal["observe"] = "observe"
    seconds: float
    stage: int = 0
    """Counted from 1; 0 is the watch."""
    entry: bool = False
    """A stage of the soft entry: it asks for no minimum of requests."""


class AwaitGit(Message):
    """Waits until Git says what the target runs: a paused sync would bring the old version back."""

    kind: Literal["awaitGit"] = "awaitGit"


class Barrier(Message):
    """Waits for the rest of the group."""

    kind: Literal["barrier"] = "barrier"
    name: Literal["promote", "commit"]


class Retire(Message):
    """Drains and removes everything in the slot."""

    kind: Literal["retire"] = "retire"
    slot: Slot
    drain_seconds: float = 30


Action = Annotated[
    Deploy | Scale | WaitReady | RunChecks | Shift | Approve | Observe | AwaitGit | Barrier | Retire,
    Field(discriminator="kind"),
]


class Step(Message):
    """One action with what it means for users and for people who watch."""

    action: Action
    summary: Sentence
    """One line for the Temporal UI and the plan."""
    phase: Phase
    new: tuple[Slot, ...] = ()
    """Slots that run the new version and can get user requests from the start of this step until the next one."""
    old: tuple[Slot, ...] = ()
    """Slots that surely run the old version in that time: the guard's other arm."""


class RolloutPlan(Message):
    """Everything one Rollout does, in order.

    Undo is computed from the baseline and what is there, never from this list.
    """

    target: Target
    kind: Literal["canary", "blueGreen", "rolling", "recreate", "initial", "rollback"]
    template: Template
    baseline: TargetState
    steps: tuple[Step, ...]
    analysis: dict[str, Any] | None = None
    """The component's analysis as written."""
    peak_replicas: int = 0
    undo: Sentence = ""
    """How an undo works at the worst moment, in a sentence, for plan and status."""
    warnings: tuple[str, ...] = ()


class ComponentPlan(Message):
    """What Release knows of one component before anything is captured."""

    name: str
    target: Target
    template: Template
    wave: int = 0
    """Components of wave n start after all of wave n-1 have passed their last stage."""
    component: dict[str, Any] = {}
    """The component as written, overrides merged and policy floors applied."""
    gate: Gate | None = None
    """Asked for before users first reach the new version, because policy wants it and no stage names it."""
    further_gates: tuple[Gate, ...] = ()
    """More gates of the same sort as `gate`, asked for after it."""
    gates: dict[str, Gate] = {}
    """Gates that stages name."""
    fix_forward: bool = False
    """Go on although the running version is unhealthy."""


class ReleasePlan(Message):
    """What a release will do; the digest names it in approvals and audit."""

    environment: str
    name: str
    version: str
    digest: str = ""
    components: tuple[ComponentPlan, ...] = ()
    parallel: int = 10
    on_failure: Literal["rollbackAll", "rollbackFailed", "hold"] = "rollbackAll"
    promote: Literal["together", "independently"] = "together"
    hold_seconds: float = 4 * 3600
    history_limit: int = 4000
    """Events after which a Rollout continues as new."""
    can_supersede: bool = True
    can_advance: bool = True
    analysis_required: bool = False
    """Policy wants a metric that can decide in every minute of exposure."""
    foreign_changes: ForeignChanges = "hold"
    """What the release does when somebody else changes what it wrote; a later policy does not change it."""
    kind: Literal["release", "rollback"] = "release"
    """A rollback brings back a version that was kept beside the targets."""
    restart: bool = False
    """Release even where the target already runs exactly this version."""
    again: bool = False
    """Release even where this version was rolled back before."""
    change: dict[str, Any] = {}
    labels: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What is arranged in clusters beside the steps, as the check before the release found it."""
