"""A metric's report in words and numbers: the same rows for the terminal and for the page.

`docs/concepts/verdicts.md` says what each number means, and what it doesn't.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from workflows.analysis.evidence.course import SKIPS
from workflows.analysis.evidence.findings import INTERVALS_ASSUME
from workflows.analysis.evidence.wording import counted, share, two_digits, what_of
from workflows.analysis.wording import amount
from workflows.model.decision import EvidenceReport, Line, MetricEvidence, MetricReport

GUARANTEE = (
    "If the canary fails at most `maxRatio` times as often as stable, and stays within `slo.max` whenever stable does, "
    "then the probability of a false evidence-based rollback is at most `alpha` over the whole rollout, however often "
    "it is checked. This assumes random routing, and that failures hitting one version together come in groups of at "
    "most `cluster` inside one tick."
)
"""Word for word as in `docs/concepts/verdicts.md`: no more is promised."""


class Fact(NamedTuple):
    """A row: what is told, and what is known of it."""

    name: str
    text: str


class Curve(NamedTuple):
    """One version's numbers, step by step."""

    name: str
    values: tuple[float | None, ...]


def facts_of(metric: MetricReport, weighed: EvidenceReport | None) -> list[Fact]:
    """Everything that is known of a metric, row by row; `weighed` is what all metrics said together."""
    evidence = metric.evidence
    return [
        *(_counts(evidence) if evidence else _sample(metric)),
        *_limits(metric),
        *(_evidence(evidence, weighed) if evidence else ()),
    ]


def overall(weighed: EvidenceReport) -> Iterator[str]:
    """What all metrics say together, in a sentence for the evidence and one for Kayenta's score."""
    if weighed.threshold:
        largest = f"evidence {times(weighed.log_e)}, at its largest {times(weighed.peak)}"
        yield f"{largest}; a rollback needs {times(weighed.threshold)}"
    if score := weighed.score:
        must = f"it must be above {score.marginal:g}, and {score.passing:g} at the end of a stage"
        yield f"Kayenta's score is {score.score:g}; {must}"
        yield from filter(None, (score.reason, *score.warnings))


def subject_of(metric: MetricReport) -> str:
    """What is counted, or measured, of the metric."""
    if metric.evidence is not None:
        return f"requests that {what_of('errors' if metric.evidence.edge is None else str(metric.evidence.edge))}"
    return {"%": "requests that failed", "s": "duration"}.get(metric.unit, "value")


def curves_of(line: Line) -> tuple[Curve, ...]:
    """The new version and the old one; shares in percent where requests were counted."""
    if line.total:
        found = (("new", line.bad, line.total), ("stable", line.baseline_bad, line.baseline_total))
        curves = [Curve(name, tuple(map(_percent, bad, total))) for name, bad, total in found]
    else:
        curves = [Curve("new", line.value), Curve("stable", line.baseline)]
    return tuple(curve for curve in curves if any(value is not None for value in curve.values))


def traffic_of(line: Line) -> tuple[float | None, ...]:
    """The percentage of the requests that the new version got, step by step."""
    return tuple(_percent(new, new + old) for new, old in zip(line.total, line.baseline_total, strict=False))


def is_limit_shown(metric: MetricReport) -> bool:
    """Whether the limit is one of what the curves show: an objective of latency may have another edge."""
    found = metric.evidence
    return found is None or found.edge is None or found.log_e_compare is None or metric.unit != "%"


def _percent(part: float, whole: float) -> float | None:
    found = share(part, whole)
    return None if found is None else found * 100


def _counts(found: MetricEvidence) -> Iterator[Fact]:
    what = what_of("errors" if found.edge is None else str(found.edge))
    yield Fact("new version", f"{counted(found.bad, found.total)} requests {what}{_as_share(found.bad, found.total)}")
    if found.baseline_total:
        sides = counted(found.baseline_bad, found.baseline_total)
        yield Fact("old version", f"{sides} requests {what}{_as_share(found.baseline_bad, found.baseline_total)}")


def _as_share(bad: float, total: float) -> str:
    found = share(bad, total)
    return "" if found is None else f", {amount(found, '%')}"


def _sample(metric: MetricReport) -> Iterator[Fact]:
    for name, value in (("new version", metric.value), ("old version", metric.baseline)):
        if value is not None:
            yield Fact(name, _shown(value, metric.unit))


def _limits(metric: MetricReport) -> Iterator[Fact]:
    if metric.limit is None and metric.alert is not None:
        yield Fact("advice", f"an alert beyond {_shown(metric.alert, metric.unit)}, which changes nothing")
    if metric.limit is not None:
        alert = "" if metric.alert is None else f"; an alert beyond {_shown(metric.alert, metric.unit)}"
        slow = "" if is_limit_shown(metric) else " of the requests may be slower than the objective"
        yield Fact("limit", f"{_shown(metric.limit, metric.unit)}{slow}{alert}")
    if metric.failures or metric.failure_limit:
        yield Fact("rule", f"{metric.failures} failed samples, {metric.failure_limit} tolerated")


def _evidence(found: MetricEvidence, weighed: EvidenceReport | None) -> Iterator[Fact]:
    if found.ratio is not None:
        yield Fact("ratio", f"{two_digits(found.ratio)}, {_between(found.ratio_low, found.ratio_high)}{_sure(weighed)}")
    if found.difference_low is not None and found.difference_high is not None:
        ends = _between(found.difference_low * 100, found.difference_high * 100)
        yield Fact("difference", f"{ends} percentage points{_sure(weighed)}")
    yield Fact("evidence", f"{times(found.log_e)}{_modes(found)}")
    yield Fact("chance", f"at most {amount(found.p, '%')} of healthy versions show as much at any time of a release")
    yield Fact("ticks", _ticks(found))


def _between(low: float | None, high: float | None) -> str:
    if low is None:
        return "nothing is ruled out"
    return f"at least {two_digits(low)}" if high is None else f"between {two_digits(low)} and {two_digits(high)}"


def _sure(weighed: EvidenceReport | None) -> str:
    level = f"{(1 - math.exp(-weighed.threshold)) * 100:.6g} %, " if weighed and weighed.threshold else ""
    return f" ({level}if {INTERVALS_ASSUME})"


def _modes(found: MetricEvidence) -> str:
    if found.log_e_compare is None or found.log_e_slo is None:
        return ""
    return f"; comparison {times(found.log_e_compare)}, limit {times(found.log_e_slo)}"


def _ticks(found: MetricEvidence) -> str:
    reasons = ", ".join(f"{count} because {SKIPS.get(reason, reason)}" for reason, count in found.skips.items())
    skipped = f"; {found.skipped} skipped{f': {reasons}' if reasons else ''}" if found.skipped else ""
    dropped = f"; {found.dropped} dropped because its counts contradicted each other" if found.dropped else ""
    return f"{found.used} used{skipped}{dropped}"


def times(log_e: float) -> str:
    """Evidence as the number that it is the logarithm of: 0.6, 2.4, 100."""
    value = math.exp(min(log_e, _LARGEST))
    return two_digits(value) if value < 10 else f"{round(value):,}"


_LARGEST = math.log(1e15)


def _shown(value: float, unit: str) -> str:
    return amount(value / 100 if unit == "%" else value, unit)
