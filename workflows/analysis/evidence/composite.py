"""All metrics together: one bound on false rollbacks for the whole release (analysis specification 1.6 and 2).

E = sum of v_i E_i with equal weights is an e-process whatever depends on what, and it acts at 1/alpha. No metric acts
on its own, or the probability would be alpha for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workflows.analysis import reasons
from workflows.analysis.evidence import comparison, objective
from workflows.analysis.evidence.mixture import logarithm
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.evidence.restoring import state_of
from workflows.analysis.evidence.wording import odds
from workflows.model.analysis import Metric
from workflows.model.decision import Decision
from workflows.model.shapes import Message

COMPARE = "compare"
SLO = "slo"

Modes = Mapping[str, dict[str, Any]]
"""The states of one metric's evaluators by mode, as they travel."""


class Weighed(Message):
    """What the whole release remembers beside its metrics."""

    peak: float = 0.0
    """The largest evidence so far over all metrics, as a logarithm; what was reached once stays reached."""
    peaks: dict[str, float] = {}
    """The same of each metric."""


class Part(NamedTuple):
    """One metric's evidence now."""

    metric: Metric
    compare: comparison.CompareState | None
    slo: objective.SloState | None

    @property
    def evidence(self) -> float:
        """The mean over the modes that the metric asks for."""
        found = [mode.evidence for mode in (self.compare, self.slo) if mode]
        return sum(found) / len(found)


class Overall(NamedTuple):
    """Everything together now."""

    weighed: Weighed
    log_e: float
    log_pass: float
    """The evidence for early promotion of the metric that has least of it; 0 without comparisons."""


def part_of(metric: Metric, modes: Modes) -> Part | None:
    """A metric's evidence from the states of its evaluators; None for a metric with rules only."""
    asked = {mode for mode in (COMPARE, SLO) if getattr(metric, mode, None) is not None}
    if not asked:
        return None
    compare = state_of(comparison.CompareState, modes.get(COMPARE, {})) if COMPARE in asked else None
    slo = state_of(objective.SloState, modes.get(SLO, {})) if SLO in asked else None
    return Part(metric, compare, slo)


def overall(parameters: Parameters, parts: Sequence[Part], before: Weighed) -> Overall:
    """The evidence of all metrics, and its largest value so far."""
    if not parts:
        return Overall(before, 0.0, 0.0)
    total = logarithm(sum(part.evidence / len(parts) for part in parts))
    peaks = {part.metric.name: max(before.peaks.get(part.metric.name, 0.0), logarithm(part.evidence)) for part in parts}
    passes = [part.compare.promoting(parameters) for part in parts if part.compare]
    weighed = Weighed(peak=max(before.peak, total), peaks={**before.peaks, **peaks})
    return Overall(weighed, total, logarithm(min(passes, default=1.0)))


def decided(parameters: Parameters, parts: Sequence[Part], now: Overall) -> Decision:
    """What the evidence says: `rollback`, `pass` before the time is over, or `continue` with or without a worry.

    A worry (`LeaningBad`) lets no stage pass: it is extended once and then held. Rules, missing data and minimum
    samples are the business of `verdict.combined`.
    """
    if now.weighed.peak >= parameters.threshold:
        blamed = max(parts, key=lambda part: now.weighed.peaks.get(part.metric.name, 0.0), default=None)
        name = f"{blamed.metric.name}: " if blamed else ""
        message = f"{name}a healthy version shows this less than once in {odds(now.weighed.peak)} releases"
        return Decision(verdict="rollback", reason=reasons.EVIDENCE_FOUND, message=message)
    if now.log_e >= math.log(parameters.leaning):
        message = f"a healthy version shows this in less than one of {odds(now.log_e)} stages; not enough to roll back"
        return Decision(verdict="continue", reason=reasons.LEANING_BAD, message=message)
    if now.log_pass >= -math.log(parameters.alpha_pass):
        ratio = f"{parameters.pass_ratio:g}"
        message = f"every comparison shows less than {ratio} times the failures of the old version"
        return Decision(verdict="pass", reason=reasons.EVIDENCE_FOR_PASSING, message=message)
    return Decision(verdict="continue", reason=reasons.OBSERVING)
