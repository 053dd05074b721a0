"""Canary without a router: one Service leads to the pods of both versions, and their number is the weight.

The old version keeps its size, so the new one is added beside it, and the last stage, everybody, is the promotion
itself. No pod of the old version can stand by afterwards: users would reach it.
"""

from __future__ import annotations

from math import floor
from typing import NamedTuple

from workflows.errors import PlanRefused
from workflows.model.release import Canary, ReplicasTraffic, Stage
from workflows.model.target import Backend
from workflows.planning import beside, sentences
from workflows.planning.draft import Draft

_EXACT = 0.01
"""Percentage points: weights have two decimals."""


class Ratio(NamedTuple):
    """Pods of both versions behind one Service."""

    canary: int
    stable: int

    @property
    def share(self) -> float:
        """Percent of the users who reach the new version."""
        return round(100 * self.canary / (self.canary + self.stable), 2)

    @property
    def weights(self) -> dict[Backend, float]:
        return {"stable": round(100 - self.share, 2), "canary": self.share}

    def __str__(self) -> str:
        return f"{self.canary} of {self.canary + self.stable} pods, which is {self.share:g} %"


def steps(draft: Draft, strategy: Canary) -> None:
    """Adds pods in stages, replaces the others, takes the added ones away and watches."""
    _refuse_scaled(draft)
    if strategy.entry == "soft":
        draft.warnings.append(f"{draft.plan.name}: without a router there is no soft entry; users are divided by pods")
    draft.ask(draft.entry_gates)
    draft.phase = "Shifting"
    parts = [stage for stage in strategy.stages if stage.weight < 100]
    for number, stage in enumerate(parts, 1):
        draft.ask(draft.gate(stage.approval))
        _grow(draft, stage)
        draft.observe(stage.observe, stage=number)
    draft.await_group_to_promote()
    for stage in strategy.stages[len(parts) :]:
        draft.ask(draft.gate(stage.approval))
    beside.replace_stable(draft)
    draft.retire("canary")
    draft.shift({"stable": 100})
    for stage in strategy.stages[len(parts) :]:
        draft.observe(stage.observe, stage=len(strategy.stages))
    _warn_of_restart(draft, strategy)
    draft.observe(strategy.watch)
    draft.await_group_to_commit()


def nearest(weight: float, stable: int, *, tolerance: float) -> Ratio | None:
    """The pods beside `stable` others that express a weight: the most that are not too many, else one more.

    None where both are further away than `tolerance`, in percentage points.
    """
    return next((r for r in _around(weight, stable) if abs(r.share - weight) <= tolerance + _EXACT), None)


def _refuse_scaled(draft: Draft) -> None:
    for autoscaler in draft.baseline.autoscalers:
        raise PlanRefused(
            "Inexpressible",
            f"{draft.plan.name}: {autoscaler.label} changes the number of pods, which is the weight here, whenever it "
            "likes; use a router with weights, or rolling, or take the autoscaler away for the release",
        )


def _grow(draft: Draft, stage: Stage) -> None:
    ratio = _ratio(draft, stage)
    if draft.state.slot("canary").is_empty:
        draft.deploy("canary", draft.new, ratio.canary)
        draft.wait("canary")
    else:
        draft.scale("canary", ratio.canary)
    draft.shift(ratio.weights)


def _ratio(draft: Draft, stage: Stage) -> Ratio:
    """What a stage gets. Errors: PlanRefused, naming the weights that there are."""
    traffic = draft.component.traffic
    tolerance = 100 * traffic.tolerance if isinstance(traffic, ReplicasTraffic) else 0
    ratio = nearest(stage.weight, draft.size, tolerance=tolerance)
    if ratio is None:
        raise PlanRefused("Inexpressible", f"{draft.plan.name}: {_choices(stage.weight, draft.size, tolerance)}")
    if abs(ratio.share - stage.weight) > _EXACT:
        draft.warnings.append(f"{draft.plan.name}: {stage.weight:g} % is asked for; it gets {ratio}")
    return ratio


def _around(weight: float, stable: int) -> list[Ratio]:
    """The expressible weights next to one, from below; none without a pod."""
    below = floor(weight * stable / (100 - weight) + 1e-6)
    return [Ratio(canary, stable) for canary in (below, below + 1) if canary]


def _choices(weight: float, stable: int, tolerance: float) -> str:
    ratios = _around(weight, stable)
    needed = min(abs(ratio.share - weight) for ratio in ratios)
    return (
        f"{weight:g} % cannot be expressed beside {sentences.instances(stable)} of the old version within a tolerance "
        f"of {tolerance:g}%; the nearest are {' and '.join(map(str, ratios))}; ask for one of them, or set "
        f"traffic.tolerance to {needed:.2f}% or more"
    )


def _warn_of_restart(draft: Draft, strategy: Canary) -> None:
    if strategy.standby == "previous" and strategy.watch:
        draft.warnings.append(
            f"{draft.plan.name}: without a router the old version cannot stand by through the watch; an undo then "
            "replaces the pods again"
        )
