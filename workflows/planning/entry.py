"""Soft entry: a canary meets few users for a minute before its first stage.

What a rollback costs in failed requests is set by the evidence that it takes, not by time: at a small weight each tick
in which the new version fails is worth up to ln(1/weight), so a gross fault costs about five requests whatever its
size (analysis specification, 1.12).
"""

from __future__ import annotations

from datetime import timedelta

from workflows.model.analysis import has_evidence
from workflows.model.release import Canary, Component, Stage

WEIGHTS = (1.0, 2.0, 5.0)
"""Percent; every router can express them."""
TIME = timedelta(seconds=20)
"""At each of them."""


def entry(component: Component, strategy: Canary) -> tuple[Stage, ...]:
    """The stages before the first one, below its weight and behind its gate; none for a literal plan.

    Rules take no soft entry by themselves: they judge the share of an interval, and at 1 % of the users one failure
    among a handful of requests crosses any limit. Evidence has no such minimum.
    """
    first = strategy.stages[0]
    weights = [weight for weight in WEIGHTS if weight < first.weight] if _is_soft(component, strategy) else []
    return tuple(
        Stage(weight=weight, observe=TIME, approval=None if number else first.approval)
        for number, weight in enumerate(weights)
    )


def _is_soft(component: Component, strategy: Canary) -> bool:
    if strategy.entry is not None:
        return strategy.entry == "soft"
    return component.analysis is not None and any(map(has_evidence, component.analysis.metrics))
