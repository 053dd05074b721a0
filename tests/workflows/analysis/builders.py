"""A small world of counters: what the tests of the pure core feed to a session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from workflows.analysis.batches import BAD, TOTAL, Batch, Missing, Unit
from workflows.analysis.session import Segment, SessionState, Step, begin, evidence, restored, step
from workflows.model.analysis import Analysis
from workflows.model.target import Slot


def ratio(name: str = "errors", **rule: Any) -> dict[str, Any]:
    """A share of failed requests with a rule; 5% rolls back unless said otherwise."""
    limits = {} if "rollback" in rule or "success" in rule else {"rollback": "5%"}
    return {"name": name, "kind": "ratio", "source": "app", "rule": {"interval": "60s", **limits, **rule}}


def gauge(name: str = "queue", **rule: Any) -> dict[str, Any]:
    return {"name": name, "kind": "gauge", "series": "queue", "rule": {"interval": "60s", "rollback": 1000, **rule}}


def an_analysis(*metrics: dict[str, Any], **fields: Any) -> Analysis:
    return Analysis.model_validate({"tick": "5s", "minRequests": 0, "metrics": metrics or [ratio()], **fields})


def a_segment(number: int = 1, *, need: float | None = None, stage: str = "10%", **more: Any) -> Segment:
    return Segment(number, **{"new": ("canary",), "old": ("stable",), **more}, need_seconds=need, stage=stage)


def a_unit(
    slot: Slot = "canary", counters: dict[str, Any] | None = None, gauges: dict[str, Any] | None = None, **more: Any
) -> Unit:
    fields = {"id": f"app:{slot}@a", "source": "app", "is_complete": True, **more}
    return Unit(slot=slot, counters=counters or {}, gauges=gauges or {}, **fields)


def errors(total: float, bad: float, name: str = "errors") -> dict[str, Any]:
    return {name: {TOTAL: {"x": total}, BAD: {"x": bad}}}


@dataclass
class World:
    """Two versions that serve requests, and a session that watches them."""

    analysis: Analysis = field(default_factory=an_analysis)
    segment: Segment = field(default_factory=a_segment)
    at: float = 1000.0
    state: SessionState = field(default_factory=SessionState)
    served: dict[Slot, list[float]] = field(default_factory=lambda: {"canary": [0, 0], "stable": [0, 0]})
    gauge: float | None = None
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = begin(self.state, self.segment)
        self.look(seconds=0)

    @property
    def last(self) -> Step:
        return self.steps[-1]

    @property
    def verdict(self) -> str:
        return self.last.decision.verdict

    @property
    def reason(self) -> str:
        return self.last.decision.reason

    def enter(self, segment: Segment) -> World:
        self.segment = segment
        self.state = begin(restored(evidence(self.state)), segment)
        return self

    def enter_need(self, need: float) -> World:
        """The next segment, in a stage of its own that wants this much observed time."""
        number = self.segment.number + 1
        self.enter(a_segment(number, need=need, stage=f"stage {number}"))
        self.look(seconds=0)
        return self

    def look(self, *, seconds: float = 5, requests: float = 0, share: float = 0, missing: str = "") -> Step:
        """One tick further: the new version served `requests`, of which `share` failed."""
        self.at += seconds
        self.served["canary"][0] += requests
        self.served["canary"][1] += requests * share
        self.served["stable"][0] += requests * 9
        batch = Batch(self.at, (), (Missing("app", "canary", missing),)) if missing else Batch(self.at, self.units())
        result = step(self.analysis, self.segment, self.state, batch)
        self.state = result.state
        self.steps.append(result)
        return result

    def units(self) -> tuple[Unit, ...]:
        slots: tuple[Slot, ...] = ("canary", "stable")
        return tuple(a_unit(slot, self._counters(slot), {} if self.gauge is None else self._gauges()) for slot in slots)

    def run(self, seconds: float, *, rate: float = 10, share: float = 0, missing: str = "", tick: float = 5) -> World:
        """Several ticks, until something other than `continue` is decided."""
        for _ in range(round(seconds / tick)):
            if (
                self.look(seconds=tick, requests=rate * tick, share=share, missing=missing).decision.verdict
                != "continue"
            ):
                break
        return self

    def _counters(self, slot: Slot) -> dict[str, Any]:
        total, bad = self.served[slot]
        names = [metric.name for metric in self.analysis.metrics if metric.kind == "ratio"]
        return {name: channels for each in names for name, channels in errors(total, bad, each).items()}

    def _gauges(self) -> dict[str, Any]:
        return {metric.name: (self.gauge,) for metric in self.analysis.metrics if metric.kind == "gauge"}
