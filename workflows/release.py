"""One release: the document becomes a plan, the conductor carries it out, the end becomes the workflow's end.

Only `Succeeded` completes the workflow; every other end fails it with an error type that names the end, so that
`temporal workflow execute`, visibility and KPIs tell them apart.
"""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.contracts.planning import Planned, PlanningActivities, PlanRequest
from workflows.engine import calls
from workflows.engine.conductor import Conductor
from workflows.engine.messages import Messages
from workflows.model.plan import ReleasePlan
from workflows.model.status import ReleaseResult, ReleaseStatus


@workflow.defn(name="Release")
class Release:
    """Releases one document; its id is `release/<environment>/<name>`."""

    @workflow.init
    def __init__(self, document: Any) -> None:  # noqa: ARG002
        self.conductor = Conductor()
        self.messages = Messages(self.conductor)

    @workflow.run
    async def run(self, document: Any) -> ReleaseResult:
        """Ends `Succeeded`, or fails with the end as type, or with BadSpec, PolicyRefused, PlanRefused."""
        plan = await _plan(document)
        return await conduct(self.conductor, self.messages, plan)

    @workflow.signal(name="report", description="A Rollout tells how far it is")
    def on_report(self, payload: Any) -> None:
        self.conductor.on_report(payload)

    @workflow.signal(name="rollback", description="A Rollback wants this release undone")
    def on_rollback(self, payload: Any) -> None:
        said = payload if isinstance(payload, dict) else {}
        message = f"rolled back by {said.get('by', 'unknown')}: {said.get('reason', '')}"
        self.conductor.finish_as("Aborted", "RollbackRequested", message[:500])

    @workflow.query(name="status", description="The release as it stands")
    def status(self) -> ReleaseStatus:
        return self.conductor.status()


async def conduct(conductor: Conductor, messages: Messages, plan: ReleasePlan) -> ReleaseResult:
    """Runs the plan and turns its outcome into the workflow's end."""
    serving = asyncio.create_task(messages.serve())
    try:
        result = await conductor.run(plan)
    finally:
        serving.cancel()
    if result.outcome == "Succeeded":
        return result
    message = f"{result.outcome}: {result.message}"[:2000]
    raise ApplicationError(message, result, type=result.outcome, non_retryable=True)


def take_plan(planned: Planned, prefix: str) -> ReleasePlan:
    """The plan, or the workflow fails at once with everything that is wrong."""
    if planned.plan is None:
        lines = "\n".join(f"{problem.path}: {problem.message}" for problem in planned.problems)
        raise ApplicationError(lines, list(planned.problems), type=planned.reason or "BadSpec", non_retryable=True)
    expected = f"{prefix}/{planned.plan.environment}/{planned.plan.name}"
    if workflow.info().workflow_id != expected:
        message = (
            f"the workflow id must be {expected}, because it is the release's lock; got {workflow.info().workflow_id}"
        )
        raise ApplicationError(message, type="BadSpec", non_retryable=True)
    return planned.plan


async def call_planner(method: Any, request: Any) -> Planned:
    """Asks the planner; when it cannot answer, the workflow fails with the reason."""
    try:
        planned: Planned = await calls.call(method, request, calls.WRITE, "Plan")
    except ActivityError as error:
        if calls.is_cancelled(error):
            raise
        message = f"no plan could be made: {calls.failure_of(error).message}"
        raise ApplicationError(message, type="Failed", non_retryable=True) from error
    return planned


async def _plan(document: Any) -> ReleasePlan:
    if not isinstance(document, dict):
        message = f"the argument must be one Release document (a JSON object); got {type(document).__name__}"
        raise ApplicationError(message, type="BadSpec", non_retryable=True)
    planned = await call_planner(PlanningActivities.plan_release, PlanRequest(document=document))
    return take_plan(planned, "release")
