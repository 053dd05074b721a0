"""What an observation says: a decision with reasons, and evidence that travels from segment to segment."""

from __future__ import annotations

from typing import Any, Literal

from workflows.model.shapes import Message

Verdict = Literal["continue", "pass", "hold", "rollback"]


class Decision(Message):
    """A verdict with its reason; reasons are stable constants documented in docs/reference/reasons.md."""

    verdict: Verdict
    reason: str = ""
    """A constant such as NoData, TooFewRequests, RuleFailed."""
    message: str = ""
    """One sentence for people, with the numbers."""


class Evidence(Message):
    """Everything known so far, per metric; plain JSON of a few hundred bytes a metric."""

    metrics: dict[str, dict[str, Any]] = {}
    """State of each metric by name; its shape belongs to the metric's evaluator (`analysis.evaluators`)."""


class MetricReport(Message):
    """One metric as people see it."""

    name: str
    value: float | None = None
    """The last sample of the new version; None when there was no data."""
    baseline: float | None = None
    """The last sample of the old version."""
    unit: str = ""
    limit: float | None = None
    """The value that rolls back."""
    alert: float | None = None
    state: Literal["ok", "alert", "failed", "insufficient", "noData", "inconclusive"] = "ok"
    requests: int = 0
    """Requests of the new version since the release began."""
    failures: int = 0
    """Failed samples counted so far."""
    failure_limit: int = 0
    sentence: str = ""
