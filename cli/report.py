"""What the observation of a release saw, whether it runs, has ended or was played from a file: what `report` shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workflows.model.backtest import Turn
from workflows.model.decision import EvidenceReport, MetricReport, Timeline
from workflows.model.status import RolloutResult, RolloutStatus

if TYPE_CHECKING:
    from cli.snapshot import Snapshot

NOTHING_SEEN = "nothing was observed: its analysis is empty, or its users have not met the new version"


@dataclass(frozen=True)
class Chapter:
    """One component."""

    component: str
    metrics: tuple[MetricReport, ...]
    evidence: EvidenceReport | None = None
    timeline: Timeline | None = None
    turns: tuple[Turn, ...] = ()
    """What was decided when; only where a file was played."""

    def to_json(self) -> dict[str, Any]:
        """One element of `components`."""
        shown = {
            "component": self.component,
            "evidence": self.evidence.model_dump(mode="json") if self.evidence else None,
            "metrics": [metric.model_dump(mode="json") for metric in self.metrics],
            "timeline": self.timeline.model_dump(mode="json") if self.timeline else None,
        }
        turns = [turn.model_dump(mode="json") for turn in self.turns]
        return {**shown, "turns": turns} if turns else shown


@dataclass(frozen=True)
class Report:
    """One release."""

    subject: str
    version: str
    outcome: str
    """Its outcome, or the phase that it is in."""
    message: str
    chapters: tuple[Chapter, ...]
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The stable shape of `report -o json`."""
        return {
            "release": self.subject,
            "version": self.version,
            "outcome": self.outcome,
            "message": self.message,
            "startedAt": self.started_at.isoformat() if self.started_at else None,
            "endedAt": self.ended_at.isoformat() if self.ended_at else None,
            "components": [chapter.to_json() for chapter in self.chapters],
        }


def report_of(snapshot: Snapshot) -> Report:
    """What is known of a release's observation: from its result once it has ended, else from what it says now."""
    ending, status = snapshot.ending, snapshot.status
    parts: Iterable[RolloutResult | RolloutStatus] = ()
    if ending and ending.result:
        parts = ending.result.components
    elif status:
        parts = status.components
    return Report(
        str(snapshot.ref),
        snapshot.version,
        snapshot.phase,
        ending.message if ending else (status.message if status else ""),
        tuple(Chapter(part.component, part.metrics, part.evidence, part.timeline) for part in parts if part.metrics),
        snapshot.execution.started_at,
        snapshot.execution.closed_at,
    )
