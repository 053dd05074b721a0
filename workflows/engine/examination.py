"""What the metrics of a document find just now, and what users do: asked of the workers that would observe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio.exceptions import ActivityError

from workflows.contracts.metrics import (
    Examined,
    ExamineRequest,
    Measured,
    MeasureRequest,
    MetricActivities,
    MetricProblem,
)
from workflows.contracts.planning import FieldProblem
from workflows.engine import calls
from workflows.engine.calls import Line
from workflows.model.plan import ComponentPlan, ReleasePlan
from workflows.model.shapes import Message

T = TypeVar("T")


class Examination(Message):
    """Every component that has an analysis, or why the document can't be planned."""

    reason: str = ""
    problems: tuple[FieldProblem, ...] = ()
    components: dict[str, Examined] = {}


async def examination(plan: ReleasePlan) -> Examination:
    """What the metrics of every component find."""

    async def examine(component: ComponentPlan, analysis: dict[str, Any]) -> Examined:
        request = ExamineRequest(target=component.target, analysis=analysis, version=plan.version)
        answer = await _answer(MetricActivities.examine, request, component, "Examine the metrics of")
        return answer if isinstance(answer, Examined) else Examined(problems=(_problem(answer),))

    return Examination(components=await _of_each(plan, examine))


async def traffic(plan: ReleasePlan) -> dict[str, Measured]:
    """What users of each component do now, where an analysis says how to count them."""

    async def measure(component: ComponentPlan, analysis: dict[str, Any]) -> Measured:
        request = MeasureRequest(target=component.target, analysis=analysis)
        answer = await _answer(MetricActivities.measure, request, component, "Measure the traffic of")
        return answer if isinstance(answer, Measured) else Measured(message=answer)

    return await _of_each(plan, measure)


async def _of_each(plan: ReleasePlan, ask: Callable[[ComponentPlan, dict[str, Any]], Awaitable[T]]) -> dict[str, T]:
    """By component, of those that have an analysis; all are asked at the same time."""
    judged = [
        (component, analysis) for component in plan.components if (analysis := component.component.get("analysis"))
    ]
    answers = await asyncio.gather(*(ask(*each) for each in judged))
    return {component.name: answer for (component, _), answer in zip(judged, answers, strict=True)}


async def _answer(method: Callable[..., Any], request: Message, component: ComponentPlan, doing: str) -> Any:
    """The activity's answer, or the sentence with which it failed."""
    line = Line(component.target.queue)
    try:
        return await calls.call(method, request, calls.MEASURE, f"{doing} {component.name}", line)
    except ActivityError as error:
        if calls.is_cancelled(error):
            raise
        return calls.failure_of(error).message


def _problem(message: str) -> MetricProblem:
    remedy = "headgate doctor says whether workers observe; docs/how-to/prometheus.md how providers are named"
    return MetricProblem(message=message, remedy=remedy)
