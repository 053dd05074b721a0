"""One release: the document becomes a plan, the conductor carries it out, the end becomes the workflow's end.

Only `Succeeded` completes the workflow; every other end fails it with an error type that names the end, so that
`temporal workflow execute`, visibility and KPIs tell them apart.
"""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import workflow

from workflows.contracts.planning import PlanningActivities, PlanRequest
from workflows.engine.conductor import Conductor
from workflows.engine.ends import call_planner, conduct, only, refused, take_plan
from workflows.engine.messages import Messages
from workflows.engine.preflight import preflight
from workflows.model.plan import ReleasePlan
from workflows.model.status import ReleaseResult, ReleaseStatus


@workflow.defn(name="Release")
class Release:
    """Releases one document; its id is `release/<environment>/<name>`."""

    @workflow.init
    def __init__(self, *given: Any) -> None:  # noqa: ARG002
        self.conductor = Conductor()
        self.messages = Messages(self.conductor)

    @workflow.run
    async def run(self, *given: Any) -> ReleaseResult:
        """Ends `Succeeded`, or fails with the end as type.

        Before anything is touched that may be BadSpec, PolicyRefused or PreflightFailed, with every problem.
        """
        plan = await self._plan(only(given, "Release document"))
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

    async def _plan(self, document: dict[str, Any]) -> ReleasePlan:
        """The plan with what its check found; as it was made, when somebody aborts the release meanwhile."""
        planned = await call_planner(PlanningActivities.plan_release, PlanRequest(document=document))
        plan = take_plan(planned, "release")
        checking = asyncio.create_task(preflight(plan))
        try:
            await workflow.wait_condition(lambda: checking.done() or self.conductor.ends_early)
        finally:
            checking.cancel()
        if self.conductor.ends_early:
            await asyncio.gather(checking, return_exceptions=True)
            return plan
        found = checking.result()
        if found.plan is None or found.problems:
            raise refused(found.reason, found.problems)
        return found.plan
