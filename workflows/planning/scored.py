"""Where Kayenta's score will say more than is known: said before a release begins, because Kayenta itself does not."""

from __future__ import annotations

from collections.abc import Iterator

from workflows.analysis.wording import duration
from workflows.model.analysis import Analysis, Metric, RatioMetric
from workflows.model.kayenta import CanaryMetric
from workflows.model.plan import Observe, RolloutPlan
from workflows.model.shapes import carried


def warnings(plan: RolloutPlan) -> Iterator[str]:
    """Nothing where Kayenta does not judge."""
    analysis = carried(Analysis, plan.analysis) if plan.analysis else None
    if analysis is None or analysis.judge != "kayenta":
        return
    name = plan.target.component
    canaries = {metric.name: metric.canary for metric in analysis.metrics if metric.canary and not metric.canary.muted}
    if open_groups := _open(canaries):
        remedy = "give one of its metrics mustHaveData or critical"
        yield f"{name}: without data, {', '.join(open_groups)} counts as 100 in the score, as in Kayenta; {remedy}"
    if blind := [metric for metric, canary in canaries.items() if canary.nan_strategy == "replace"]:
        yield f"{name}: without data, {', '.join(blind)} passes, because of nanStrategy replace, as in Kayenta"
    if both := [metric.name for metric in analysis.metrics if _is_low_too(metric)]:
        often = "with few requests a healthy version often looks lower; direction: increase"
        yield f"{name}: {', '.join(both)} rolls back a version that fails less, too; {often}"
    if steps := ", ".join(map(str, _short(plan, analysis))):
        step = duration(analysis.scoring.step.total_seconds())
        yield f"{name}: step {steps} is shorter than a sample of kayenta.step ({step}), so it will be extended"


def _is_low_too(metric: Metric) -> bool:
    """A share of failures whose fall counts as bad."""
    canary = metric.canary
    return isinstance(metric, RatioMetric) and bool(canary and not canary.muted and canary.direction != "increase")


def _open(canaries: dict[str, CanaryMetric]) -> list[str]:
    """Groups without a metric that has to have data."""
    groups = dict.fromkeys(group for canary in canaries.values() for group in canary.groups)
    closed = {g for c in canaries.values() for g in c.groups if c.must_have_data or c.critical}
    return [group for group in groups if group not in closed]


def _short(plan: RolloutPlan, analysis: Analysis) -> Iterator[int]:
    """Numbers of the steps in which not one sample can be taken."""
    for number, step in enumerate(plan.steps, start=1):
        action = step.action
        if isinstance(action, Observe) and 0 < action.seconds < analysis.scoring.step.total_seconds():
            yield number
