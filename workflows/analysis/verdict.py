"""Decisions of single metrics, and of the evidence over all of them, to the decision of the release.

Evidence and failed rules roll back whatever the others say, and need no minimum of requests. Missing data and
inconclusive samples hold. Only then may time and enough requests let a stage pass, unless evidence leans against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workflows.analysis import reasons
from workflows.analysis.wording import duration
from workflows.model.analysis import Analysis, GaugeMetric, Metric
from workflows.model.decision import Decision

_ABOUT_DATA = frozenset({reasons.NO_DATA, reasons.PROVIDER_ERRORS})
_WORRIES = frozenset({reasons.LEANING_BAD, reasons.NO_DATA})
_MATTERS_AT_ENTRY = frozenset({reasons.LEANING_BAD, reasons.PROVIDER_ERRORS})
_INSUFFICIENT = frozenset({reasons.TOO_FEW_REQUESTS, reasons.TOO_FEW_SAMPLES})


@dataclass(frozen=True, slots=True)
class Judged:
    """One metric after a tick."""

    metric: Metric
    decision: Decision
    requests: float
    """Requests of the new version since the release began."""
    silent: float
    """Seconds without data."""
    problem: str
    """Why its source is not covered; empty when it is."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the stage stands."""

    observed: float
    need: float | None
    """Observed time still wanted in this segment when it began; None watches without ever passing."""
    stage_need: float
    """Observed time that the whole stage wanted."""
    short: float
    """Seconds that the stage has been extended already."""
    is_entry: bool = False
    """A stage of the soft entry passes with few requests or none: it is there to lose few, not to learn much."""

    @property
    def is_over(self) -> bool:
        """The wanted time was observed."""
        return self.need is not None and self.observed >= self.need

    @property
    def ends_stage(self) -> bool:
        """Whether the whole stage is to be judged now."""
        return self.is_over and self.stage_need > 0 and not self.is_entry


def combined(analysis: Analysis, judged: Sequence[Judged], whole: Sequence[Decision], progress: Progress) -> Decision:
    """Rollback on evidence or a failed rule, hold while something is unknown, pass if all is said, else continue.

    `whole` is what was decided over all metrics together: by evidence, and by a score.

    Evidence for an early promotion shortens no stage: its time is a promise of the document, or of policy.
    """
    decisions = (*whole, *(item.decision for item in judged))
    failed = [decision for decision in decisions if decision.verdict == "rollback"]
    if failed:
        return _joined("rollback", failed)
    unknown = [*_holds(judged), *_silences(analysis, judged)]
    if unknown:
        return _joined("hold", unknown)
    if not progress.is_over:
        return Decision(verdict="continue", reason=reasons.OBSERVING, message=_progress(progress, judged))
    lacking = list(_lacking(analysis, judged, whole)) if progress.stage_need > 0 else []
    if progress.is_entry:
        lacking = [item for item in lacking if item.reason in _MATTERS_AT_ENTRY]
    if not lacking:
        return Decision(verdict="pass", reason=reasons.TIME_REACHED, message=_progress(progress, judged))
    if progress.short < extension(analysis, progress):
        return _joined("continue", lacking)
    return _insufficient(analysis, lacking)


def extension(analysis: Analysis, progress: Progress) -> float:
    """How long a stage is extended for want of certainty: as long as it should have taken, at least the patience."""
    return max(progress.stage_need, analysis.patience.total_seconds())


def _holds(judged: Sequence[Judged]) -> Iterable[Decision]:
    for item in judged:
        is_ours = item.metric.is_needed or item.decision.reason not in _ABOUT_DATA
        if item.decision.verdict == "hold" and is_ours:
            yield item.decision


def _silences(analysis: Analysis, judged: Sequence[Judged]) -> Iterable[Decision]:
    for item in judged:
        is_ours = item.metric.is_needed and (item.problem or not is_scored_alone(item.metric))
        if is_ours and item.silent > analysis.patience.total_seconds():
            reason = reasons.PROVIDER_ERRORS if item.problem else reasons.NO_DATA
            why = item.problem or "no requests reached the new version" if _counts(item) else "no value"
            message = f"{item.metric.name}: no data for {duration(item.silent)} ({why})"
            yield Decision(verdict="hold", reason=reason, message=message)


def _lacking(analysis: Analysis, judged: Sequence[Judged], whole: Sequence[Decision]) -> Iterable[Decision]:
    yield from (decision for decision in whole if decision.reason in _WORRIES)
    for item in judged:
        if not item.metric.is_needed:
            continue
        if item.problem:
            yield Decision(
                verdict="continue", reason=reasons.PROVIDER_ERRORS, message=f"{item.metric.name}: {item.problem}"
            )
        elif item.decision.verdict != "pass":
            yield item.decision
        elif _counts(item) and item.requests < (needed := analysis.needed_requests(item.metric)):
            message = f"{item.metric.name}: {item.requests:,.0f} of at least {needed:,} requests"
            yield Decision(verdict="continue", reason=reasons.TOO_FEW_REQUESTS, message=message)


def is_scored_alone(metric: Metric) -> bool:
    """Whether only Kayenta's score knows of this metric; what it makes of missing data is in the score."""
    return metric.canary is not None and not any(getattr(metric, mode, None) for mode in ("rule", "slo", "compare"))


def _insufficient(analysis: Analysis, lacking: Sequence[Decision]) -> Decision:
    """Too few requests may end as the document says; what is unknown for another reason always holds."""
    if any(item.reason not in _INSUFFICIENT for item in lacking) or analysis.on_insufficient == "hold":
        return _joined("hold", lacking)
    return _joined("pass" if analysis.on_insufficient == "proceed" else "rollback", lacking)


def _counts(item: Judged) -> bool:
    return not isinstance(item.metric, GaugeMetric)


def _joined(verdict: str, decisions: Sequence[Decision]) -> Decision:
    message = "; ".join(decision.message for decision in decisions if decision.message)
    return Decision.model_validate({"verdict": verdict, "reason": decisions[0].reason, "message": message})


def _progress(progress: Progress, judged: Sequence[Judged]) -> str:
    wanted = "" if progress.need is None else f" of {duration(progress.need)}"
    waiting = [f"{item.metric.name}: {item.problem}" for item in judged if item.problem]
    return "; ".join([f"{duration(progress.observed)}{wanted} observed", *waiting])
