"""What the metrics of a document find just now: asked of the workers that would observe, nothing is touched."""

from __future__ import annotations

import asyncio

from temporalio.exceptions import ActivityError

from workflows.contracts.metrics import Examined, ExamineRequest, MetricActivities, MetricProblem
from workflows.contracts.planning import FieldProblem
from workflows.engine import calls
from workflows.engine.calls import Line
from workflows.model.plan import ComponentPlan, ReleasePlan
from workflows.model.shapes import Message


class Examination(Message):
    """Every component that has an analysis, or why the document can't be planned."""

    reason: str = ""
    problems: tuple[FieldProblem, ...] = ()
    components: dict[str, Examined] = {}


async def examination(plan: ReleasePlan) -> Examination:
    """Asks for all components at the same time."""
    judged = [component for component in plan.components if component.component.get("analysis")]
    answers = await asyncio.gather(*(_examine(component, plan.version) for component in judged))
    return Examination(components={component.name: answer for component, answer in zip(judged, answers, strict=True)})


async def _examine(component: ComponentPlan, version: str) -> Examined:
    request = ExamineRequest(target=component.target, analysis=component.component["analysis"], version=version)
    summary, line = f"Examine the metrics of {component.name}", Line(component.target.queue)
    try:
        answer: Examined = await calls.call(MetricActivities.examine, request, calls.MEASURE, summary, line)
    except ActivityError as error:
        if calls.is_cancelled(error):
            raise
        remedy = "headgate doctor says whether workers observe; docs/how-to/prometheus.md how providers are named"
        return Examined(problems=(MetricProblem(message=calls.failure_of(error).message, remedy=remedy),))
    return answer
