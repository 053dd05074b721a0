"""What people see of a running release, and how releases end."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from workflows.model.decision import Decision, EvidenceReport, MetricReport, Timeline
from workflows.model.shapes import Message, Sentence
from workflows.model.target import Backend, Claim, TargetState

Phase = Literal[
    "Pending",
    "Waiting",
    "Preparing",
    "Shifting",
    "Observing",
    "Paused",
    "Promoting",
    "Watching",
    "Committing",
    "Succeeded",
    "RollingBack",
    "RolledBack",
    "Aborted",
    "Rejected",
    "Failed",
]

Outcome = Literal["Succeeded", "RolledBack", "Aborted", "Rejected", "Failed"]

EXIT_CODES: dict[str, int] = {
    "Succeeded": 0,
    "Failed": 1,
    "BadSpec": 2,
    "RolledBack": 3,
    "Aborted": 4,
    "Rejected": 4,
    "Unreachable": 5,
    "AnotherRelease": 6,
    "UndoIncomplete": 7,
}
"""What `headgate` exits with; documented in docs/reference/exit-codes.md."""


class Wait(Message):
    """What the release waits for: a constant and a sentence."""

    reason: str
    """A constant such as ApprovalWanted, TargetBusy, NoData, Paused, UndoBlocked."""
    message: Sentence
    since: datetime | None = None
    until: datetime | None = None


class RolloutStatus(Message):
    """One component, as its Rollout sees it."""

    component: str
    rollout_id: str = ""
    run_id: str = ""
    phase: Phase = "Pending"
    step: int = 0
    """Index of the current step, from 0."""
    steps: int = 0
    summary: Sentence = ""
    """The current step in one line."""
    asked: dict[Backend, float] = {}
    verified: dict[Backend, float] = {}
    weight: float = 0
    """Percent of the users' requests that reach the new version, last verified."""
    stage: int = 0
    stages: tuple[float, ...] = ()
    """The weights of the stages."""
    observed_seconds: float = 0
    """Of the current stage."""
    need_seconds: float = 0
    wait: Wait | None = None
    decision: Decision | None = None
    metrics: tuple[MetricReport, ...] = ()
    evidence: EvidenceReport | None = None
    """What all metrics' evidence says together; None where none is weighed."""
    timeline: Timeline | None = None
    """How the observation went so far; left out of what a Rollout tells its Release."""
    undo: Sentence = ""
    """How long an undo would take now, in words."""
    updated_at: datetime | None = None


class Refusal(Message):
    """A message that could not be taken, kept so that signal senders see why."""

    message: str
    reason: Sentence
    by: str = ""
    at: datetime | None = None


class Vote(Message):
    """One person's answer to a gate."""

    person: str
    decision: Literal["approve", "reject"]
    comment: str = ""
    at: datetime | None = None
    verified: bool = False


class GateStatus(Message):
    """An open or decided gate."""

    name: str
    instance: str
    """Gate, plan digest and step: an approval counts for exactly one of these."""
    component: str = ""
    count: int = 1
    groups: tuple[str, ...] = ()
    state: Literal["open", "approved", "rejected", "expired"] = "open"
    votes: tuple[Vote, ...] = ()
    opened_at: datetime | None = None
    expires_at: datetime | None = None


class ReleaseStatus(Message):
    """The whole release, as the `status` query answers."""

    environment: str = ""
    name: str = ""
    version: str = ""
    workflow_id: str = ""
    first_run_id: str = ""
    phase: Phase = "Pending"
    sequence: int = 0
    """Sent along with pause, resume and advance; a stale one is refused."""
    paused: bool = False
    wait: Wait | None = None
    components: tuple[RolloutStatus, ...] = ()
    gates: tuple[GateStatus, ...] = ()
    refused: tuple[Refusal, ...] = ()
    plan_digest: str = ""
    change: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    started_at: datetime | None = None
    message: Sentence = ""


class LateRequests(Message):
    """What reached a version after its users had been led away: open connections stay with their instances."""

    count: int = 0
    """As its own metrics count, probes included where they count those."""
    last_at: datetime | None = None
    """When the last of them was counted; None without any."""
    until: datetime | None = None
    """Up to when this is known; None where nobody could tell."""
    message: Sentence = ""


class RolloutResult(Message):
    """How one Rollout ended; a Rollout returns this for every outcome."""

    component: str
    outcome: Outcome
    reason: str = ""
    message: Sentence = ""
    undone: bool = True
    """False when something could not be restored; the mark stays then."""
    changed: bool = True
    """False when nothing in the world was touched."""
    final: TargetState = TargetState()
    metrics: tuple[MetricReport, ...] = ()
    evidence: EvidenceReport | None = None
    timeline: Timeline | None = None
    """How the observation went, from the first exposure on."""
    claim: Claim | None = None
    failure_log: str = ""
    """The command that shows pods, events and logs of the version that failed, where they were kept."""
    late: LateRequests | None = None
    """None where users never reached the version, nothing ended, or its analysis has no metrics."""


class ReleaseResult(Message):
    """How a release ended: the workflow's result, or the details of its failure."""

    environment: str
    name: str
    version: str
    outcome: Outcome
    reason: str = ""
    message: Sentence = ""
    components: tuple[RolloutResult, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
