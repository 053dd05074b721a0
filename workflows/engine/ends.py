"""From a document to a plan, and from an outcome to the workflow's end: the edges that Release and Rollback share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.contracts.planning import FieldProblem, Planned
from workflows.engine import calls
from workflows.engine.conductor import Conductor
from workflows.engine.messages import Messages
from workflows.model.plan import ReleasePlan
from workflows.model.status import ReleaseResult


async def conduct(conductor: Conductor, messages: Messages, plan: ReleasePlan) -> ReleaseResult:
    """Runs the plan and turns its outcome into the workflow's end."""
    expiring = asyncio.create_task(messages.expire_gates())
    try:
        result = await conductor.run(plan)
    finally:
        expiring.cancel()
    if result.outcome == "Succeeded":
        return result
    raise ApplicationError(f"{result.outcome}: {result.message}", result, type=result.outcome, non_retryable=True)


def only(given: tuple[Any, ...], what: str) -> dict[str, Any]:
    """The single argument; any other number or type of them must end the workflow and not wedge it."""
    if len(given) == 1 and isinstance(given[0], dict):
        return given[0]
    got = ", ".join(type(item).__name__ for item in given[:10]) or "none"
    message = f"the argument must be one {what} (a JSON object); got {got}"
    raise ApplicationError(message, type="BadSpec", non_retryable=True)


def take_plan(planned: Planned, prefix: str) -> ReleasePlan:
    """The plan, or the workflow fails at once with everything that is wrong."""
    if planned.plan is None:
        raise refused(planned.reason or "BadSpec", planned.problems)
    expected = f"{prefix}/{planned.plan.environment}/{planned.plan.name}"
    if workflow.info().workflow_id != expected:
        message = (
            f"the workflow id must be {expected}, because it is the release's lock; got {workflow.info().workflow_id}"
        )
        raise ApplicationError(message, type="BadSpec", non_retryable=True)
    return planned.plan


def refused(reason: str, problems: Sequence[FieldProblem]) -> ApplicationError:
    """The end of a workflow that began nothing, with everything that is wrong."""
    lines = "\n".join(f"{problem.path}: {problem.message}" for problem in problems)
    return ApplicationError(lines, list(problems), type=reason, non_retryable=True)


async def call_planner(method: Callable[..., Any], request: Any) -> Planned:
    """Asks the planner; when it cannot answer, the workflow fails with the reason."""
    try:
        planned: Planned = await calls.call(method, request, calls.PLAN, "Plan")
    except ActivityError as error:
        if calls.is_cancelled(error):
            raise
        message = f"no plan could be made: {calls.failure_of(error).message}"
        raise ApplicationError(message, type="Failed", non_retryable=True) from error
    return planned
