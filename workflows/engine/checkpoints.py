"""What a Rollout hands to its next run when its history has grown long.

The claim is not part of it: a fence names one run, so the next run acquires its own.
"""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow

from workflows.model.decision import Decision, Evidence, EvidenceReport, MetricReport
from workflows.model.plan import RolloutPlan
from workflows.model.shapes import Message
from workflows.model.target import Backend


class Checkpoint(Message):
    """Everything a waiting Rollout knows; it travels in `RolloutOrder.resume`."""

    plan: RolloutPlan
    index: int
    """The step that is waiting."""
    verified: dict[Backend, float] = {}
    stage: int = 0
    exposed: bool = False
    paused: bool = False
    full: bool = False
    barriers: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    evidence: Evidence = Evidence()
    segment: int = 0
    observed: float = 0
    """Seconds that count for the current stage already."""
    metrics: tuple[MetricReport, ...] = ()
    weighed: EvidenceReport | None = None
    hold: Decision | None = None
    hold_until: datetime | None = None
    git_until: datetime | None = None
    """When the wait for Git ends the way forward, where it has begun."""
    git_told: bool = False
    taken: dict[str, datetime] = {}
    """When a field was last taken over from somebody else."""


def is_due(limit: int) -> bool:
    """Whether the history is long enough to continue as new."""
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.get_current_history_length() > limit
