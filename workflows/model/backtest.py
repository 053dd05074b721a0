"""What an analysis would have decided on a recording: the answer of a backtest, whoever had the recording."""

from __future__ import annotations

from workflows.model.decision import Decision, EvidenceReport, MetricReport, Timeline
from workflows.model.shapes import Message


class Turn(Message):
    """A decision that differs from the one before it."""

    seconds: float
    """Since the observation began."""
    decision: Decision


class Window(Message):
    """One stretch of a recording, played as a release of its own."""

    seconds: float
    """When it began, since the recording did."""
    decision: Decision
    """Its last one."""
    after_seconds: float = 0
    """When that was decided, since the stretch began."""
    peak: float = 0
    """The largest evidence against the new version, as a logarithm."""


class Backtested(Message):
    """All stretches, and one of them in full: the worst verdict, and of these the one with most evidence."""

    windows: tuple[Window, ...]
    shown: int = 0
    """Which one the rest is about."""
    turns: tuple[Turn, ...] = ()
    metrics: tuple[MetricReport, ...] = ()
    evidence: EvidenceReport | None = None
    timeline: Timeline | None = None
