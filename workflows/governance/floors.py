"""What an environment demands of a strategy: a spec that says less is refused, one that says nothing gets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from workflows.errors import Problem
from workflows.model.complaints import listed
from workflows.model.policy import Environment, StrategyFloor
from workflows.model.release import BlueGreen, Canary, Component, Stage, Strategy
from workflows.model.shapes import format_duration


@dataclass
class Floors:
    """An environment's demands on one component's strategy."""

    environment: Environment
    name: str
    at: str
    """Path of the component."""
    problems: list[Problem] = field(default_factory=list)

    def raised(self, component: Component) -> Component:
        """The component with what it left open set to the floors; what lies below them is added to `problems`."""
        strategy, allowed = component.strategy, self.environment.strategies
        if allowed is not None and strategy.kind not in allowed:
            message = f"{self.name} does not allow {strategy.kind} (allowed: {listed(allowed)})"
            self.problems.append(Problem(f"{self.at}.strategy.kind", message))
            return component
        floor = (allowed or {}).get(strategy.kind, StrategyFloor())
        if self.environment.analysis == "required" and component.analysis is None:
            message = (
                f"is missing: {self.name} demands that a metric decides in every minute users reach the new version"
            )
            self.problems.append(Problem(f"{self.at}.analysis", message))
        return component.model_copy(update={"strategy": self._strategy(strategy, floor)})

    def _strategy(self, strategy: Strategy, floor: StrategyFloor) -> Strategy:
        changes: dict[str, Any] = {"watch": self._at_least(strategy, "watch", floor.watch.minimum, "strategy")}
        if isinstance(strategy, Canary) and floor.entry is not None:
            self._entry(strategy)
            changes["entry"] = floor.entry
        if isinstance(strategy, Canary | BlueGreen):
            self._first_weight(strategy, floor)
            changes["stages"] = tuple(self._stage(strategy, i, floor) for i in range(len(strategy.stages)))
        return strategy.model_copy(update=changes)

    def _stage(self, strategy: Canary | BlueGreen, index: int, floor: StrategyFloor) -> Stage:
        stage = strategy.stages[index]
        if isinstance(strategy, BlueGreen) and stage.weight == 100:
            return stage  # The switch is observed by the watch, which has a floor of its own.
        observe = self._at_least(stage, "observe", floor.observe.minimum, f"strategy.stages[{index}]")
        return stage.model_copy(update={"observe": observe})

    def _at_least(self, model: Strategy | Stage, name: str, minimum: timedelta, path: str) -> timedelta:
        value: timedelta = getattr(model, name)
        if value >= minimum:
            return value
        if name in model.model_fields_set:
            least = format_duration(minimum)
            message = f"{format_duration(value)} is shorter than {self.name} demands; write at least {least}"
            self.problems.append(Problem(f"{self.at}.{path}.{name}", message))
        return minimum

    def _entry(self, strategy: Canary) -> None:
        if strategy.entry == "none":
            message = f"{self.name} demands a soft entry; leave entry out"
            self.problems.append(Problem(f"{self.at}.strategy.entry", message))

    def _first_weight(self, strategy: Canary | BlueGreen, floor: StrategyFloor) -> None:
        first = strategy.stages[0].weight
        if floor.first_weight is not None and first > floor.first_weight:
            message = f"{first:g} is more than {self.name} allows at first; begin with at most {floor.first_weight:g}"
            self.problems.append(Problem(f"{self.at}.strategy.stages[0].weight", message))
