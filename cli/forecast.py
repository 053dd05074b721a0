"""What a plan can find: if its traffic suffices, and how soon evidence finds a fault at each stage and at what cost.

Expectations for traffic that is assumed or was measured, not promises; simulated medians lie within a third of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from workflows.analysis.evidence.forecast import (
    FAULTS,
    RATIOS,
    Cost,
    Stake,
    Stretch,
    expected_cost,
    expected_find,
)
from workflows.analysis.evidence.growth import Traffic
from workflows.analysis.evidence.parameters import Parameters
from workflows.model.analysis import Analysis, GaugeMetric, RatioMetric, has_evidence
from workflows.model.plan import Observe, RolloutPlan
from workflows.model.shapes import carried

FAILING = 0.001
"""The share of the old version's requests that is assumed to fail."""

EXTENDED = 2.0
"""A stage that lacks requests is extended to so many times its time, and then held."""


@dataclass(frozen=True)
class Assumed:
    """The traffic that a forecast is made for."""

    rps: float = 100.0
    """Requests per second of both versions."""
    failing: float = FAILING
    origin: str = "--requests-per-second"
    """Where these come from."""


USUAL = Assumed()


class StageForecast(NamedTuple):
    """What to expect of one stage, of a fault that is there from its beginning."""

    stage: int
    """Counted from 1; 0 is the watch."""
    is_entry: bool
    stretch: Stretch
    requests: float
    """Requests of the new version since the release began, at the stage's end."""
    needed_rps: float
    """Requests per second with which it has its minimum in its time; 0 for the entry, which wants none."""
    finds: tuple[tuple[float, Cost | None], ...]
    """By how many times as often requests fail; None where evidence never finds it, empty without any on errors."""

    def is_in_time(self, cost: Cost | None) -> bool:
        """Whether it is found within the stage."""
        return cost is not None and cost.seconds <= self.stretch.seconds

    def to_json(self) -> dict[str, Any]:
        """The stable shape of a stage's forecast."""
        return {
            "stage": self.stage,
            "entry": self.is_entry,
            "newVersionPercent": round(self.stretch.weight * 100, 2),
            "seconds": self.stretch.seconds,
            "requests": round(self.requests),
            "neededRequestsPerSecond": round(self.needed_rps, 3),
            "regressions": [{"times": ratio, **_cost_json(cost)} for ratio, cost in self.finds],
        }


@dataclass(frozen=True)
class Forecast:
    """One rollout's."""

    assumed: Assumed
    costs: tuple[tuple[float, Cost | None], ...]
    """By the share of requests that fail; None where no evidence on errors finds it in time."""
    stages: tuple[StageForecast, ...]
    needed: int
    """Requests of the new version without which no stage passes."""

    @property
    def has_finds(self) -> bool:
        """Whether evidence on errors is weighed."""
        return any(stage.finds for stage in self.stages)

    @property
    def hopeless(self) -> Iterator[str]:
        """What this traffic is not enough for, each as a sentence that says what would be."""
        if not self.assumed.rps:
            yield f"no request was seen ({self.assumed.origin}), so nothing can be found and no stage will pass"
            return
        for stage in self.stages:
            if not stage.is_entry and stage.requests < self.needed:
                yield self._lacking(stage)
                break  # The minimum counts from the first request on: what is reached later matters less.
        found = [stage.is_in_time(cost) for stage in self.stages for _, cost in stage.finds[-1:]]
        if found and not any(found):
            times = f"{RATIOS[-1]:g} times as many failures"
            yield f"not even {times} are found within any stage; longer stages or a larger first weight would help"

    def _lacking(self, stage: StageForecast) -> str:
        seen = f"{stage.requests:,.0f} of its minimum of {self.needed:,} requests"
        end = "extended" if stage.requests * EXTENDED >= self.needed else "extended, then held"
        more = f"{stage.needed_rps:.3g} requests/s are needed for it, see minRequests"
        return f"stage {stage.stage} will be {end}: in its time it sees {seen}; {more}"

    def to_json(self) -> dict[str, Any]:
        """The stable shape of a forecast in `plan -o json`."""
        return {
            "requestsPerSecond": self.assumed.rps,
            "failing": self.assumed.failing,
            "origin": self.assumed.origin,
            "neededRequests": self.needed,
            "faults": [{"share": share, **_cost_json(cost)} for share, cost in self.costs],
            "stages": [stage.to_json() for stage in self.stages],
            "warnings": list(self.hopeless),
        }


def _cost_json(cost: Cost | None) -> dict[str, Any]:
    return {
        "failedRequests": round(cost.failed, 1) if cost else None,
        "seconds": round(cost.seconds) if cost else None,
    }


def forecast(plan: RolloutPlan, shares: list[float], assumed: Assumed) -> Forecast | None:
    """What to expect of a plan, `shares` being the percentage of users after each step.

    None where there is no stage, or no metric that counts requests.
    """
    analysis = carried(Analysis, plan.analysis) if plan.analysis else None
    counting = [metric for metric in analysis.metrics if not isinstance(metric, GaugeMetric)] if analysis else []
    observed = [
        (step.action, Stretch(share / 100, step.action.seconds))
        for step, share in zip(plan.steps, shares, strict=True)
        if isinstance(step.action, Observe) and step.action.stage
    ]
    if analysis is None or not counting or not observed:
        return None
    stake = _stake(analysis)
    traffic = Traffic(assumed.rps, 0.0, assumed.failing, analysis.tick.total_seconds())
    stretches = [stretch for _, stretch in observed]
    costs = [(fault, expected_cost(stake, stretches, traffic, fault)) for fault in FAULTS if stake]
    needed = max(map(analysis.needed_requests, counting))
    return Forecast(assumed, tuple(costs), tuple(_stages(stake, observed, traffic, needed)), needed)


def _stake(analysis: Analysis) -> Stake | None:
    """The first metric of failures on which evidence is weighed; None where there is none."""
    found = [metric for metric in analysis.metrics if isinstance(metric, RatioMetric) and has_evidence(metric)]
    if not found:
        return None
    compare, slo = found[0].compare, found[0].slo
    parts = sum(map(has_evidence, analysis.metrics)) * sum(mode is not None for mode in (compare, slo))
    ratio, limit = compare.max_ratio if compare else None, slo.max if slo else None
    return Stake(Parameters.of(analysis), ratio, parts, limit)


def _stages(
    stake: Stake | None, observed: Sequence[tuple[Observe, Stretch]], traffic: Traffic, needed: int
) -> Iterator[StageForecast]:
    requests = 0.0
    for action, stretch in observed:
        requests += stretch.weight * stretch.seconds * traffic.rps
        here = Traffic(traffic.rps, stretch.weight, traffic.share, traffic.tick)
        finds = tuple((ratio, expected_find(stake, here, ratio)) for ratio in RATIOS if stake)
        needed_rps = needed * traffic.rps / requests if requests and not action.entry else 0.0
        yield StageForecast(action.stage, action.entry, stretch, requests, needed_rps, finds)
