"""What the client knows of a release at one moment: the shapes that commands print and `-o json` promises.

Plain data, no Temporal types, so that renderers and tests can build them by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cli.names import Ref
from workflows.errors import Problem
from workflows.model.status import EXIT_CODES, ReleaseResult, ReleaseStatus


@dataclass(frozen=True)
class Execution:
    """One run of a workflow as the server lists it."""

    workflow_id: str
    run_id: str
    first_run_id: str
    state: str
    """Running, Completed, Failed, Canceled, Terminated, TimedOut."""
    started_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def is_running(self) -> bool:
        """Whether it can still be spoken to."""
        return self.state == "Running"


@dataclass(frozen=True)
class Ending:
    """How a release ended, told by its result or its failure."""

    outcome: str
    """Succeeded, RolledBack, Aborted, Rejected, Failed, or what is no end of a release: BadSpec, PolicyRefused,
    PlanRefused and PreflightFailed before it began, Cancelled, Terminated and TimedOut from outside."""
    reason: str = ""
    message: str = ""
    result: ReleaseResult | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def exit_code(self) -> int:
        """What a command that waited for this exits with."""
        if self.outcome in {"Terminated", "TimedOut"} or (self.result and not _is_undone(self.result)):
            return EXIT_CODES["UndoIncomplete"]
        return EXIT_CODES[_LIKE.get(self.outcome, self.outcome)]


_LIKE = {"Cancelled": "Aborted"} | dict.fromkeys(("PolicyRefused", "PlanRefused", "PreflightFailed"), "BadSpec")


def _is_undone(result: ReleaseResult) -> bool:
    return result.outcome == "Succeeded" or all(component.undone for component in result.components)


@dataclass(frozen=True)
class Known:
    """The search attributes: what is known without a worker, possibly old."""

    version: str = ""
    phase: str = ""
    weight: float | None = None
    waiting_for: str = ""


@dataclass(frozen=True)
class Snapshot:
    """One release: its own status joined with those of its components, and what could not be asked."""

    ref: Ref
    execution: Execution
    known: Known = Known()
    status: ReleaseStatus | None = None
    """None when no worker answered."""
    ending: Ending | None = None
    """None while it runs."""
    notes: tuple[str, ...] = ()
    """What could not be asked, in sentences."""

    @property
    def phase(self) -> str:
        """The best known phase."""
        if self.ending:
            return self.ending.outcome
        return (self.status.phase if self.status else self.known.phase) or "Pending"

    @property
    def version(self) -> str:
        """The best known version."""
        if self.ending and self.ending.result:
            return self.ending.result.version
        return (self.status.version if self.status else "") or self.known.version

    def to_json(self) -> dict[str, Any]:
        """The stable shape of `headgate status -o json`."""
        ending = self.ending
        return {
            "release": str(self.ref),
            "workflowId": self.execution.workflow_id,
            "runId": self.execution.run_id,
            "firstRunId": self.execution.first_run_id,
            "state": self.execution.state,
            "phase": self.phase,
            "version": self.version,
            "startedAt": _iso(self.execution.started_at),
            "closedAt": _iso(self.execution.closed_at),
            "outcome": ending.outcome if ending else None,
            "exitCode": ending.exit_code if ending else None,
            "reason": ending.reason if ending else None,
            "message": ending.message if ending else (self.status.message if self.status else ""),
            "status": self.status.model_dump(mode="json") if self.status else None,
            "result": ending.result.model_dump(mode="json") if ending and ending.result else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Listed:
    """One line of `list` or `history`."""

    execution: Execution
    ref: Ref
    kind: str
    """Release or Rollback."""
    known: Known
    outcome: str = ""
    """Empty while it runs."""

    def to_json(self) -> dict[str, Any]:
        """The stable shape of one element of `list` and `history`."""
        seconds = None
        if self.execution.started_at and self.execution.closed_at:
            seconds = round((self.execution.closed_at - self.execution.started_at).total_seconds(), 3)
        return {
            "release": str(self.ref),
            "kind": self.kind,
            "version": self.known.version,
            "state": self.execution.state,
            "outcome": self.outcome or None,
            "phase": self.known.phase,
            "weight": self.known.weight,
            "waitingFor": self.known.waiting_for,
            "workflowId": self.execution.workflow_id,
            "runId": self.execution.run_id,
            "startedAt": _iso(self.execution.started_at),
            "closedAt": _iso(self.execution.closed_at),
            "seconds": seconds,
        }


@dataclass(frozen=True)
class Started:
    """What `start` did."""

    ref: Ref
    workflow_id: str
    run_id: str
    joined: bool = False
    """The same document was running already."""
    superseded: str = ""
    """The version that was undone first."""
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The stable shape of `headgate start -o json` without `--wait`."""
        return {
            "release": str(self.ref),
            "workflowId": self.workflow_id,
            "runId": self.run_id,
            "joined": self.joined,
            "superseded": self.superseded or None,
            "notes": list(self.notes),
        }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
