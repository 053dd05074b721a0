"""From a captured baseline to the new version: the steps of one component on one target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from workflows.errors import PlanRefused
from workflows.model.plan import ComponentPlan, RolloutPlan
from workflows.model.release import BlueGreen, Canary, Component, Recreate, Rolling
from workflows.model.shapes import carried
from workflows.model.target import TargetState
from workflows.planning import blue_green, canary, initial, recreate, rollback, rolling, scored
from workflows.planning.affinity import steadied
from workflows.planning.baselines import refuse_foreign, refuse_unhealthy
from workflows.planning.costs import worst_undo
from workflows.planning.draft import Draft
from workflows.planning.guarded import unguarded
from workflows.planning.templates import digest_of

Kind = Literal["canary", "blueGreen", "rolling", "recreate", "initial", "rollback"]


def rollout_plan(
    plan: ComponentPlan,
    baseline: TargetState,
    *,
    kind: Literal["release", "rollback"] = "release",
    analysis_required: bool = False,
) -> RolloutPlan:
    """Every step of one rollout. Errors: PlanRefused when nothing safe can be planned from what is there."""
    component = carried(Component, plan.component)
    plan = _renewed(plan, baseline)
    refuse_foreign(plan.target, baseline)
    if kind == "release" and not plan.fix_forward:
        refuse_unhealthy(plan.target, baseline)
    draft = Draft(plan, component, baseline)
    analysis, affinity = plan.component.get("analysis"), baseline.traffic.affinity if baseline.traffic else ""
    if affinity:
        draft.warnings.append(
            f"{plan.name}: {affinity} holds users to one version, so shares are of users and not of requests; metrics "
            "are read every 10 s"
        )
    how = _write(draft, kind)
    result = RolloutPlan(
        target=plan.target,
        kind=how,
        template=plan.template,
        baseline=baseline,
        steps=tuple(draft.steps),
        analysis=steadied(analysis) if affinity else analysis,
        peak_replicas=draft.peak,
    )
    guarded = _warnings(result, analysis_required=analysis_required)
    warnings = (*draft.warnings, *_scaled(result), *scored.warnings(result), *guarded)
    return result.model_copy(update={"undo": worst_undo(result), "warnings": warnings})


def _renewed(plan: ComponentPlan, baseline: TargetState) -> ComponentPlan:
    """A template of its own where the target already runs this one: a restart must replace what looks the same."""
    running, wanted = baseline.slot("stable").template, plan.template
    if running is None or running.digest != wanted.digest:
        return plan
    digest = digest_of({"restart": running.digest})
    return plan.model_copy(update={"template": wanted.model_copy(update={"digest": digest})})


def _write(draft: Draft, kind: Literal["release", "rollback"]) -> Kind:
    strategy = draft.component.strategy
    if draft.baseline.slot("stable").is_empty:
        _refuse_nowhere(draft)
        initial.steps(draft)
        return "initial"
    if kind == "rollback":
        rollback.steps(draft)
        return "rollback"
    match strategy:
        case Canary():
            canary.steps(draft, strategy)
        case BlueGreen():
            blue_green.steps(draft, strategy)
        case Rolling():
            rolling.steps(draft, strategy)
        case Recreate():
            recreate.steps(draft, strategy)
    return strategy.kind


def _refuse_nowhere(draft: Draft) -> None:
    if draft.plan.target.is_per_node:
        message = f"{draft.plan.name}: no node runs its DaemonSet, so nothing could show whether the new version works"
        raise PlanRefused("UnhealthyBaseline", f"{message}; write its image with kubectl set image")


def _scaled(plan: RolloutPlan) -> Iterator[str]:
    """What an autoscaler does to a plan that nobody can keep it from."""
    for autoscaler in plan.baseline.autoscalers:
        if autoscaler.shared and plan.kind in ("canary", "blueGreen", "rollback"):
            follows = f"{autoscaler.label} follows {' and '.join(autoscaler.shared)}"
            yield (
                f"{plan.target.component}: {follows}, which may count what both versions do; it may keep more "
                "instances of stable than its share of the work needs"
            )


def _warnings(plan: RolloutPlan, *, analysis_required: bool) -> tuple[str, ...]:
    intervals = unguarded(plan)
    if not intervals:
        return ()
    what = f"no metric can decide in {' and '.join(intervals)}"
    if analysis_required:
        message = f"{plan.target.component}: {what}; add a metric with a rule to its analysis"
        raise PlanRefused("UnguardedInterval", message)
    return (f"{plan.target.component}: {what}; only checks and people guard users there",)
