"""No unguarded minute: from the first step that lets users reach the new version to the last, something must decide."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from workflows.model.analysis import Analysis, GaugeMetric, Metric
from workflows.model.plan import Observe, RolloutPlan, Shift, Step
from workflows.model.shapes import carried


class Numbered(NamedTuple):
    """A step of a plan, counted from 1."""

    number: int
    step: Step
    is_compared: bool
    """The old version serves users beside the new one, or did so for an observation: what it did is recorded."""


def unguarded(plan: RolloutPlan) -> list[str]:
    """Every interval of the plan in which users can reach the new version and no metric can decide, in words."""
    analysis = carried(Analysis, plan.analysis) if plan.analysis else None
    return [
        _interval(list(steps))
        for is_covered, steps in groupby(_exposed(plan), key=lambda numbered: _is_covered(numbered, analysis))
        if not is_covered
    ]


def _exposed(plan: RolloutPlan) -> Iterator[Numbered]:
    """The steps from the first one on in which users can reach the new version."""
    weights = dict(plan.baseline.traffic.weights) if plan.baseline.traffic else {}
    is_exposed = is_recorded = False
    for number, step in enumerate(plan.steps, 1):
        is_exposed = is_exposed or bool(step.new)
        weights = step.action.weights if isinstance(step.action, Shift) else weights
        is_beside = bool(step.new) and any(not weights or weights.get(slot) for slot in step.old)
        is_recorded = is_recorded or (is_beside and isinstance(step.action, Observe) and step.action.seconds > 0)
        if is_exposed:
            yield Numbered(number, step, is_beside or is_recorded)


def _is_covered(numbered: Numbered, analysis: Analysis | None) -> bool:
    if analysis is None or not numbered.step.new:
        return False
    return any(_decides(metric, is_compared=numbered.is_compared) for metric in analysis.metrics)


def _decides(metric: Metric, *, is_compared: bool) -> bool:
    """Whether the metric can roll back: absolute rules always, a comparison once there is something to compare with."""
    if metric.rule is not None and metric.rule.guards:
        return True
    if metric.canary is not None and not metric.canary.muted and is_compared:
        return True
    if isinstance(metric, GaugeMetric):
        return False
    return metric.slo is not None or (metric.compare is not None and is_compared)


def _interval(steps: list[Numbered]) -> str:
    (first, start, _), (last, end, _) = steps[0], steps[-1]
    if first == last:
        return f"step {first} ({start.summary})"
    return f"steps {first} to {last} (from “{start.summary}” to “{end.summary}”)"
