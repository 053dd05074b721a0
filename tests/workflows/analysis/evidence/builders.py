"""Ticks with known counts, and one metric or several that are judged by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workflows.analysis.evidence.composite import Overall, Part, Weighed, decided, overall, part_of
from workflows.analysis.evidence.judging import judging
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.evidence.weighing import balance
from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Evaluation, Tick
from workflows.model.analysis import Analysis, Metric
from workflows.model.decision import Decision, MetricReport

PARAMETERS = Parameters(horizon=180)

Four = tuple[float, float, float, float]
"""Failed and all requests of the new version, then of the old one."""


def a_metric(*, kind: str = "ratio", compare: float | None = 1.25, slo: Any = None, **fields: Any) -> Metric:
    """A metric with evidence modes; `slo` is a share such as 1% or a duration such as 500ms."""
    modes: dict[str, Any] = {} if compare is None else {"compare": {"maxRatio": compare}}
    if slo is not None:
        modes["slo"] = slo if isinstance(slo, dict) else {"max": slo}
    metric = {"name": "errors", "kind": kind, "source": "app", **modes, **fields}
    return Analysis.model_validate({"metrics": [metric]}).metrics[0]


def a_tick(counts: Four, **fields: Any) -> Tick:
    new_bad, new_total, old_bad, old_total = counts
    return Tick(10.0, Counts(total=new_total, bad=new_bad), Counts(total=old_total, bad=old_bad), **fields)


def a_histogram(slower: dict[float, float], total: float) -> Counts:
    """Requests by how many of them were slower than each edge."""
    return Counts(total=total, buckets={edge: total - count for edge, count in slower.items()})


@dataclass
class Judge:
    """Evaluators with the states that they leave, as a session would keep them."""

    metrics: Sequence[Metric] = field(default_factory=lambda: (a_metric(slo="1%"),))
    parameters: Parameters = PARAMETERS
    modes: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    weighed: Weighed = field(default_factory=Weighed)
    ticks: int = 0
    acted: int | None = None
    """The first tick, counted from 1, whose evidence rolls back."""
    last: dict[str, Evaluation] = field(default_factory=dict)

    def see(self, *ticks: Tick) -> Judge:
        """The same tick for every metric."""
        for tick in ticks:
            self.ticks += 1
            for metric in self.metrics:
                states = self.modes.setdefault(metric.name, {})
                for mode, judge in judging(self.parameters).items():
                    if getattr(metric, mode, None) is not None:
                        self.last[mode] = judge(metric, states.get(mode, {}), tick)
                        states[mode] = self.last[mode].state
            self.weighed = self.overall.weighed
            if self.acted is None and self.decision.verdict == "rollback":
                self.acted = self.ticks
        return self

    def count(self, *fours: Four, times: int = 1, **fields: Any) -> Judge:
        return self.see(*[a_tick(four, **fields) for four in fours] * times)

    @property
    def parts(self) -> list[Part]:
        found = [part_of(metric, self.modes.get(metric.name, {})) for metric in self.metrics]
        return [part for part in found if part]

    @property
    def reports(self) -> tuple[MetricReport, ...]:
        """What people see of each metric."""
        states = [(metric, self.modes.get(metric.name, {})) for metric in self.metrics]
        return balance(self.parameters, states, self.weighed).shown({}, self.metrics)

    @property
    def overall(self) -> Overall:
        return overall(self.parameters, self.parts, self.weighed)

    @property
    def decision(self) -> Decision:
        return decided(self.parameters, self.parts, self.overall)

    @property
    def log_e(self) -> float:
        return self.overall.log_e

    def with_parameters(self, **fields: Any) -> Judge:
        self.parameters = replace(self.parameters, **fields)
        return self


def flattened(data: Any) -> Iterable[float]:
    """Every number in a state."""
    if isinstance(data, dict):
        for value in data.values():
            yield from flattened(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from flattened(value)
    elif isinstance(data, int | float):
        yield float(data)
