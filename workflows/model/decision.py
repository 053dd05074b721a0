"""What an observation says: a decision with reasons, and evidence that travels from segment to segment."""

from __future__ import annotations

from typing import Any, Literal

from workflows.model.shapes import Message, Sentence

Verdict = Literal["continue", "pass", "hold", "rollback"]


class Decision(Message):
    """A verdict with its reason; reasons are stable constants documented in docs/reference/reasons.md."""

    verdict: Verdict
    reason: str = ""
    """A constant such as NoData, TooFewRequests, RuleFailed."""
    message: Sentence = ""
    """One sentence for people, with the numbers."""


class Evidence(Message):
    """Everything known so far, per metric; plain JSON of a few hundred bytes a metric."""

    metrics: dict[str, dict[str, Any]] = {}
    """State of each metric by name; its shape belongs to the metric's evaluator (`analysis.evaluators`)."""


class MetricEvidence(Message):
    """The evidence on one metric: counts of both versions while both served, and what they say."""

    log_e: float = 0
    """Logarithm of the evidence against the new version now; a metric among others counts with its share of them."""
    log_e_compare: float | None = None
    log_e_slo: float | None = None
    p: float = 1
    """How probable as much evidence is at any time of the release for a healthy version; at most."""
    bad: float = 0
    """Failed requests of the new version; of latency, those slower than `edge`."""
    total: float = 0
    baseline_bad: float = 0
    baseline_total: float = 0
    edge: float | None = None
    """Of latency: seconds."""
    ratio: float | None = None
    """How many times as often as the old version the new one failed."""
    ratio_low: float | None = None
    """Interval of the ratio at every look, if requests fail independently of each other; the evidence needs less."""
    ratio_high: float | None = None
    difference_low: float | None = None
    """The same for how much larger the new version's share is."""
    difference_high: float | None = None
    used: int = 0
    """Ticks that were evidence."""
    skipped: int = 0
    """Ticks left out; `skips` says why."""
    dropped: int = 0
    """Ticks whose counts contradicted each other."""
    skips: dict[str, int] = {}
    """Why ticks were skipped: how many by reason (`analysis.evidence.course.SKIPS`)."""


class ScoreReport(Message):
    """The last score of `judge: kayenta`: a rule over all metrics, which claims nothing about false alarms."""

    score: float = 0
    """From 0 to 100."""
    marginal: float = 75
    passing: float = 95
    samples: int = 0
    """Taken in the stage when the score was made."""
    classes: dict[str, str] = {}
    """Each metric's: Pass, High, Low, Nodata, NodataFailMetric or Error."""
    groups: dict[str, float] = {}
    """The scores of the groups that have one; a group without data counts as 100."""
    reason: Sentence = ""
    """Why the score is 0 whatever the groups say; empty when it is made of them."""
    warnings: tuple[str, ...] = ()
    """Where the score says more than is known, as Kayenta's does."""


class EvidenceReport(Message):
    """What all metrics say together: evidence, with one bound on false rollbacks for the whole release, and a score."""

    log_e: float = 0
    """Logarithm of the evidence now."""
    peak: float = 0
    """Its largest value of the release: what counts."""
    threshold: float = 0
    """ln(1/alpha): the peak that rolls back; 0 where no evidence is weighed."""
    sentence: Sentence = ""
    score: ScoreReport | None = None
    """None unless Kayenta judges, and until its first score."""


class MetricReport(Message):
    """One metric as people see it."""

    name: str
    value: float | None = None
    """The last sample of the new version; None when there was no data."""
    baseline: float | None = None
    """The last sample of the old version."""
    unit: str = ""
    limit: float | None = None
    """The value that rolls back; None where nothing does."""
    alert: float | None = None
    state: Literal["ok", "alert", "failed", "insufficient", "noData", "inconclusive"] = "ok"
    requests: int = 0
    """Requests of the new version since the release began."""
    failures: int = 0
    """Failed samples counted so far."""
    failure_limit: int = 0
    sentence: Sentence = ""
    evidence: MetricEvidence | None = None
    """What evidence says; None for rules, which claim nothing about false alarms."""


class Line(Message):
    """How one metric went: a number for each step of its timeline; which columns there are depends on its modes."""

    log_e: tuple[float | None, ...] = ()
    """The largest evidence against the new version in each step, as a logarithm; None where nobody looked."""
    bad: tuple[int, ...] = ()
    """The new version's failed requests; of latency, those slower than the edge that is shown."""
    total: tuple[int, ...] = ()
    baseline_bad: tuple[int, ...] = ()
    baseline_total: tuple[int, ...] = ()
    value: tuple[float | None, ...] = ()
    """Of a rule on a quantile or a number: the new version's latest sample."""
    baseline: tuple[float | None, ...] = ()


class Timeline(Message):
    """The observation of a release from its beginning, in steps of equal length.

    The number of steps is bounded: when it is reached, each two become one of twice the length.
    """

    since: float = 0
    """When the first step began, in seconds since 1970 by the clock of the metrics."""
    step: float = 0
    """How long a step is, in seconds; 0 before anything was observed."""
    count: int = 0
    """How many steps there are; a column may end before the last one."""
    log_e: tuple[float | None, ...] = ()
    """The largest evidence over all metrics in each step, as a logarithm; empty where none is weighed."""
    lines: dict[str, Line] = {}
    """By metric."""
