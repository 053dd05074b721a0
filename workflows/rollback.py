"""A person's return to an earlier version: through Rollouts, like everything that writes.

Of a running release it is turned into an abort first; what the targets kept of earlier releases says what to bring
back.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.contracts.planning import PlanningActivities, RollbackPlanRequest
from workflows.contracts.targets import FindPromoted, TargetActivities
from workflows.engine import calls
from workflows.engine.conductor import Conductor
from workflows.engine.ends import call_planner, conduct, only, take_plan
from workflows.engine.messages import Messages
from workflows.engine.reach import ask_everywhere
from workflows.model.messages import RollbackOrder
from workflows.model.status import ReleaseResult, ReleaseStatus

_PAUSE = timedelta(seconds=2)


@workflow.defn(name="Rollback")
class Rollback:
    """Brings back a version that was released here before; its id is `rollback/<environment>/<name>`."""

    @workflow.init
    def __init__(self, *given: Any) -> None:  # noqa: ARG002
        self.conductor = Conductor()
        self.messages = Messages(self.conductor)

    @workflow.run
    async def run(self, *given: Any) -> ReleaseResult:
        """Ends as a release does; see `Release.run`."""
        try:
            wish = RollbackOrder.model_validate(only(given, "order"))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ApplicationError(wrong[:2000], type="BadSpec", non_retryable=True) from None
        await _abort_running(wish)
        try:
            promoted, silent = await ask_everywhere(
                TargetActivities.find_promoted,
                FindPromoted(environment=wish.environment, release=wish.name),
                "Find the versions kept beside the targets",
            )
        except ActivityError as error:
            raise ApplicationError(calls.failure_of(error).message, type="Failed", non_retryable=True) from error
        request = RollbackPlanRequest(
            environment=wish.environment,
            release=wish.name,
            version=wish.version,
            promoted=tuple(chain(*promoted.values())),
        )
        planned = await call_planner(PlanningActivities.plan_rollback, request)
        plan = take_plan(planned, "rollback")
        change = {"kind": "rollback", "reason": wish.reason, "by": wish.by}
        missed = [
            f"nobody answered at {queue}: what was released in its cluster is not rolled back" for queue in silent
        ]
        update = {"change": change, "warnings": (*plan.warnings, *missed)}
        return await conduct(self.conductor, self.messages, plan.model_copy(update=update))

    @workflow.signal(name="report", description="A Rollout tells how far it is")
    def on_report(self, payload: Any) -> None:
        self.conductor.on_report(payload)

    @workflow.query(name="status", description="The rollback as it stands")
    def status(self) -> ReleaseStatus:
        return self.conductor.status()


async def _abort_running(wish: RollbackOrder) -> None:
    """Tells a running release to go back, until it is gone; without one this costs a single signal."""
    release = workflow.get_external_workflow_handle(f"release/{wish.environment}/{wish.name}")
    while True:
        try:
            await release.signal("rollback", {"by": wish.by, "reason": wish.reason})
        except ApplicationError:
            return
        await workflow.sleep(_PAUSE)
