"""What only a worker can see, asked by a client: what a cluster has, and what would be in a release's way.

A workflow, because servers that carry out an activity without one are new and few. It changes nothing, so it may end by
any timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.contracts.metrics import BacktestRequest, MetricActivities
from workflows.contracts.planning import PlanningActivities, PlanRequest
from workflows.contracts.references import Described, DescribeRequest, ReferenceActivities, Surveyed
from workflows.engine import calls
from workflows.engine.ends import call_planner
from workflows.engine.examination import Examination, examination, traffic
from workflows.engine.inbox import wrong_in
from workflows.engine.preflight import Preflight, preflight
from workflows.engine.reach import ask_at, ask_everywhere
from workflows.model.backtest import Backtested


@workflow.defn(name="Inquiry")
class Inquiry:
    """One question and its answer; its id is `inquiry/<question>/<anything>`."""

    @workflow.run
    async def run(self, *given: Any) -> Any:
        """Takes the question and what it is about, and ends at once by BadSpec where they are not that."""
        name, about = (*given, None, None)[:2]
        question = _QUESTIONS.get(name) if isinstance(name, str) else None
        if question is None or len(given) > 2:
            known = ", ".join(sorted(_QUESTIONS))
            got = repr(given)[:100]
            raise _bad(f"give one of the questions {known}, and what it is about; these workers don't know {got}")
        try:
            meant = question.about.validate_python(about)
        except ValidationError as error:
            raise _bad(f"{name}: {wrong_in(error)}") from None
        return await question.answer(meant)


def _bad(message: str) -> ApplicationError:
    return ApplicationError(message, type="BadSpec", non_retryable=True)


async def _preflight(document: dict[str, Any]) -> Preflight:
    """Whether a release of this document could begin now, by the worker's own policy, and what its users do."""
    planned = await call_planner(PlanningActivities.plan_release, PlanRequest(document=document))
    if planned.plan is None:
        return Preflight(reason=planned.reason, problems=planned.problems)
    found, users = await asyncio.gather(preflight(planned.plan, calls.ASK), traffic(planned.plan))
    return found.model_copy(update={"traffic": users})


async def _metrics(document: dict[str, Any]) -> Examination:
    """What the metrics of this document find now."""
    planned = await call_planner(PlanningActivities.plan_release, PlanRequest(document=document))
    if planned.plan is None:
        return Examination(reason=planned.reason, problems=planned.problems)
    return await examination(planned.plan)


async def _deployment(request: DescribeRequest) -> Described:
    """What is around a workload."""
    summary = f"Look at {request.deployment} in {request.cluster}/{request.namespace}"
    found: Described = await _asked(ask_at(request.cluster, ReferenceActivities.describe, request, summary))
    return found


async def _asked(answer: Awaitable[Any]) -> Any:
    """An activity's answer, or its failure as that of the question."""
    try:
        return await answer
    except ActivityError as error:
        if calls.is_cancelled(error):
            raise
        failure = calls.failure_of(error)
        raise ApplicationError(failure.message, type=failure.reason, non_retryable=True) from error


async def _backtest(request: BacktestRequest) -> Backtested:
    """What an analysis would have decided on what a metric store remembers."""
    found: Backtested = await _asked(calls.call(MetricActivities.backtest, request, calls.BACKTEST, "Play the past"))
    return found


async def _clusters(_: Any) -> Surveyed:
    """All clusters of whichever worker answers, and of those inside clusters that it does not reach."""
    found: dict[str, Surveyed]
    found, silent = await ask_everywhere(ReferenceActivities.survey, None, "Look at the clusters", calls.ASK)
    return Surveyed(
        clusters=tuple(cluster for one in found.values() for cluster in one.clusters),
        orphans=tuple(sorted({orphan for one in found.values() for orphan in one.orphans})),
        silent=tuple(silent),
    )


class _Question(NamedTuple):
    about: TypeAdapter[Any]
    answer: Callable[[Any], Awaitable[Any]]


_DOCUMENT = TypeAdapter(dict[str, Any])
_QUESTIONS: Mapping[str, _Question] = {
    "backtest": _Question(TypeAdapter(BacktestRequest), _backtest),
    "clusters": _Question(TypeAdapter(Any), _clusters),
    "deployment": _Question(TypeAdapter(DescribeRequest), _deployment),
    "metrics": _Question(_DOCUMENT, _metrics),
    "preflight": _Question(_DOCUMENT, _preflight),
}
