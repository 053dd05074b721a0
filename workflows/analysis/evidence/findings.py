"""Everything that one metric's evidence says, for reports: counts, shares, ratio, intervals, evidence and a sentence.

Intervals cost more than the evidence of a tick, so they are made when somebody asks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from workflows.analysis.evidence.bets import Pair
from workflows.analysis.evidence.comparison import ERRORS, NOTHING, CompareState
from workflows.analysis.evidence.composite import Part, Weighed
from workflows.analysis.evidence.course import Course
from workflows.analysis.evidence.intervals import Interval, difference_interval, ratio_interval
from workflows.analysis.evidence.mixture import logarithm
from workflows.analysis.evidence.objective import max_share
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.evidence.wording import alone, compared, odds, ratio_of, share, what_of
from workflows.analysis.wording import scaled
from workflows.model.analysis import Metric
from workflows.model.decision import MetricEvidence, MetricReport

State = Literal["ok", "insufficient", "noData", "unusable", "incident"]

INTERVALS_ASSUME = "requests fail independently of each other"
"""Whoever shows an interval says so; the evidence itself needs less."""


@dataclass(frozen=True)
class Finding:
    """One metric's evidence (analysis specification, section 2, output)."""

    name: str
    state: State
    counts: Pair
    """Of the comparison, and of the limit where there is none; of latency, those slower than `edge`."""
    edge: float | None
    new_share: float | None
    old_share: float | None
    ratio: float | None
    ratio_interval: Interval | None
    difference_interval: Interval | None
    log_e_compare: float | None
    log_e_slo: float | None
    log_e: float
    p: float
    """How probable as much evidence is, at any time of the release, for a healthy version; at most."""
    used: int
    skipped: int
    skips: dict[str, int]
    dropped: int
    sentence: str


def finding(parameters: Parameters, part: Part, weighed: Weighed) -> Finding:
    """What is known of a metric now."""
    modes: list[Course] = [mode for mode in (part.compare, part.slo) if mode]
    main, pair = _shown(part)
    log_e = logarithm(part.evidence)
    peak = max(weighed.peaks.get(part.metric.name, 0.0), log_e, 0.0)
    return Finding(
        name=part.metric.name,
        state=_state(parameters, part, modes),
        counts=pair,
        edge=main,
        new_share=share(pair.new_bad, pair.new_total),
        old_share=share(pair.old_bad, pair.old_total),
        ratio=ratio_of(pair),
        ratio_interval=_interval(parameters, part.compare),
        difference_interval=difference_interval(pair, parameters.alpha) if pair.new_total and pair.old_total else None,
        log_e_compare=logarithm(part.compare.evidence) if part.compare else None,
        log_e_slo=logarithm(part.slo.evidence) if part.slo else None,
        log_e=log_e,
        p=math.exp(-peak),
        used=max(mode.used for mode in modes),
        skipped=max(mode.skipped for mode in modes),
        skips={reason: max(mode.skips.get(reason, 0) for mode in modes) for mode in modes for reason in mode.skips},
        dropped=max(mode.dropped for mode in modes),
        sentence=_sentence(part, pair, main, peak),
    )


def reported(
    rule: MetricReport | None, found: Finding, metric: Metric, *, is_blamed: bool, leaning: float
) -> MetricReport:
    """The finding as people see it, beside the report of the metric's rule where it has one."""
    state = _shown_state(found, is_blamed=is_blamed, leaning=leaning)
    if rule is None:
        limit = max_share(metric) * 100 if found.log_e_slo is not None else None
        new, old = scaled(found.new_share, "%"), scaled(found.old_share, "%")
        rule = MetricReport(name=found.name, value=new, baseline=old, unit="%", limit=limit, sentence=found.sentence)
    elif rule.sentence:
        rule = rule.model_copy(update={"sentence": f"{rule.sentence}; {found.sentence}"})
    else:
        rule = rule.model_copy(update={"sentence": found.sentence})
    worst = max(state, rule.state, key=GRAVITY.index)
    return rule.model_copy(update={"state": worst, "evidence": _message(found)})


GRAVITY = ("ok", "insufficient", "inconclusive", "noData", "alert", "failed")
_STATES: dict[State, str] = {"unusable": "inconclusive", "incident": "inconclusive", "noData": "insufficient"}


def _shown_state(found: Finding, *, is_blamed: bool, leaning: float) -> str:
    if is_blamed:
        return "failed"
    if found.state == "ok" and found.log_e >= math.log(leaning):
        return "alert"
    return _STATES.get(found.state, found.state)


def _message(found: Finding) -> MetricEvidence:
    ratio, difference = found.ratio_interval, found.difference_interval
    return MetricEvidence(
        log_e=found.log_e,
        log_e_compare=found.log_e_compare,
        log_e_slo=found.log_e_slo,
        p=found.p,
        bad=found.counts.new_bad,
        total=found.counts.new_total,
        baseline_bad=found.counts.old_bad,
        baseline_total=found.counts.old_total,
        edge=found.edge,
        ratio=found.ratio,
        ratio_low=ratio.low if ratio else None,
        ratio_high=ratio.high if ratio else None,
        difference_low=difference.low if difference else None,
        difference_high=difference.high if difference else None,
        used=found.used,
        skipped=found.skipped,
        skips=found.skips,
        dropped=found.dropped,
    )


def _shown(part: Part) -> tuple[float | None, Pair]:
    """The edge and the counts of the comparison; of the limit where there is none, or not yet."""
    if part.compare and (part.compare.shown.new_total or not part.slo):
        main = part.compare.main
        return None if main == ERRORS else float(main), part.compare.shown
    return (part.slo.edge, part.slo.pair) if part.slo else (None, NOTHING)


def _interval(parameters: Parameters, compare: CompareState | None) -> Interval | None:
    channel = compare.channels.get(compare.main) if compare else None
    return ratio_interval(channel.pair.new_bad, compare.offsets, parameters.alpha) if compare and channel else None


def _state(parameters: Parameters, part: Part, modes: list[Course]) -> State:
    if part.slo and part.slo.incident > parameters.no_data_timeout:
        return "incident"
    if any(mode.unusable > parameters.no_data_timeout for mode in modes):
        return "unusable"
    if all(mode.stage < 0 for mode in modes):
        return "noData"
    return "ok" if all(mode.used for mode in modes) else "insufficient"


def _sentence(part: Part, pair: Pair, edge: float | None, peak: float) -> str:
    what = what_of(ERRORS if edge is None else str(edge))
    is_compared = part.compare and part.compare.shown == pair
    said = compared(pair, what) if is_compared else alone(pair, what)
    rarely = f"; a healthy version shows this less than once in {odds(peak)} releases"
    return said + rarely if peak >= math.log(2) else said
