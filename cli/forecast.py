"""What evidence can do with a plan: what a fault costs until it is rolled back, and the traffic that stages need.

Expectations for traffic that is assumed, not promises; simulated medians lie within a third of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workflows.analysis.evidence.forecast import FAULTS, Cost, Stake, Stretch, Traffic, expected_cost
from workflows.analysis.evidence.parameters import Parameters
from workflows.model.analysis import Analysis, has_evidence
from workflows.model.plan import Observe, RolloutPlan
from workflows.model.shapes import carried

FAILING = 0.001
"""The share of the old version's requests that is assumed to fail."""


@dataclass(frozen=True)
class Assumed:
    """The traffic that a forecast is made for."""

    rps: float = 100.0
    """Requests per second of both versions."""
    failing: float = FAILING


USUAL = Assumed()


@dataclass(frozen=True)
class Forecast:
    """One rollout's."""

    assumed: Assumed
    costs: tuple[tuple[float, Cost | None], ...]
    """By the share of requests that fail; None where no comparison of errors finds it in time."""
    needed_rps: float
    """Requests per second with which the first stage has its minimum of requests in its time."""

    def to_json(self) -> dict[str, Any]:
        """The stable shape of a forecast in `plan -o json`."""
        return {
            "requestsPerSecond": self.assumed.rps,
            "failing": self.assumed.failing,
            "neededRequestsPerSecond": round(self.needed_rps, 1),
            "faults": [
                {
                    "share": share,
                    "failedRequests": round(cost.failed, 1) if cost else None,
                    "seconds": round(cost.seconds) if cost else None,
                }
                for share, cost in self.costs
            ],
        }


def forecast(plan: RolloutPlan, shares: list[float], assumed: Assumed) -> Forecast | None:
    """What to expect of a plan, `shares` being the percentage of users after each step; None without evidence."""
    analysis = carried(Analysis, plan.analysis) if plan.analysis else None
    if analysis is None or not any(map(has_evidence, analysis.metrics)):
        return None
    observed = [
        (step.action, Stretch(share / 100, step.action.seconds))
        for step, share in zip(plan.steps, shares, strict=True)
        if isinstance(step.action, Observe) and step.action.stage
    ]
    costs = _costs(analysis, [stretch for _, stretch in observed], assumed)
    return Forecast(assumed, costs, _needed(analysis, observed))


def _costs(analysis: Analysis, stretches: list[Stretch], assumed: Assumed) -> tuple[tuple[float, Cost | None], ...]:
    found = [(metric, metric.compare) for metric in analysis.metrics if metric.kind == "ratio" and metric.compare]
    if not found:
        return ()
    metric, compare = found[0]
    parts = sum(map(has_evidence, analysis.metrics)) * (2 if metric.slo else 1)
    stake = Stake(Parameters.of(analysis), compare.max_ratio, parts)
    traffic = Traffic(assumed.rps, 0.0, assumed.failing, analysis.tick.total_seconds())
    return tuple((fault, expected_cost(stake, stretches, traffic, fault)) for fault in FAULTS)


def _needed(analysis: Analysis, observed: list[tuple[Observe, Stretch]]) -> float:
    """By the end of the first stage after the entry, whose minimum counts from the first request on."""
    seen, requests = 0.0, max(map(analysis.needed_requests, analysis.metrics))
    for action, stretch in observed:
        seen += stretch.weight * stretch.seconds
        if not action.entry:
            break
    return requests / seen if seen > 0 else 0.0
