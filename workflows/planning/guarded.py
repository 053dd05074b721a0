"""No unguarded minute: from the first step that lets users reach the new version to the last, something must decide."""

from __future__ import annotations

from itertools import groupby

from workflows.model.analysis import Analysis, GaugeMetric, Metric
from workflows.model.plan import RolloutPlan, Step
from workflows.model.shapes import carried


def unguarded(plan: RolloutPlan) -> list[str]:
    """Every interval of the plan in which users can reach the new version and no metric can decide, in words."""
    first = next((i for i, step in enumerate(plan.steps) if step.new), len(plan.steps))
    analysis = carried(Analysis, plan.analysis) if plan.analysis else None
    exposed = enumerate(plan.steps[first:], first + 1)
    return [
        _interval(list(steps))
        for is_covered, steps in groupby(exposed, key=lambda numbered: _is_covered(numbered[1], analysis))
        if not is_covered
    ]


def _is_covered(step: Step, analysis: Analysis | None) -> bool:
    return bool(step.new) and analysis is not None and any(_decides(metric, step) for metric in analysis.metrics)


def _decides(metric: Metric, step: Step) -> bool:
    """Whether the metric can roll back in this step: absolute rules always, a comparison while the old version runs."""
    if metric.rule is not None and not metric.rule.ends_by_itself:
        return True
    if isinstance(metric, GaugeMetric):
        return False
    return metric.slo is not None or (metric.compare is not None and bool(step.old))


def _interval(steps: list[tuple[int, Step]]) -> str:
    (first, start), (last, end) = steps[0], steps[-1]
    if first == last:
        return f"step {first} ({start.summary})"
    return f"steps {first} to {last} (from “{start.summary}” to “{end.summary}”)"
