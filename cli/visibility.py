"""What the Temporal server knows by itself: lists, search attributes and who polls which queue.

Nothing here needs a worker. Visibility lags behind by about a second and a closed run keeps its last values.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError

from cli.failures import ending_of
from cli.names import Ref
from cli.snapshot import Execution, Known, Listed
from workflows.engine.visibility import ENVIRONMENT, PHASE, VERSION, WAITING_FOR, WEIGHT

STALE_SECONDS = 90
"""A poller of a living worker asks again within a minute; the server remembers dead ones for five."""
_STATES = {
    WorkflowExecutionStatus.RUNNING: "Running",
    WorkflowExecutionStatus.COMPLETED: "Completed",
    WorkflowExecutionStatus.FAILED: "Failed",
    WorkflowExecutionStatus.CANCELED: "Canceled",
    WorkflowExecutionStatus.TERMINATED: "Terminated",
    WorkflowExecutionStatus.TIMED_OUT: "TimedOut",
    WorkflowExecutionStatus.CONTINUED_AS_NEW: "ContinuedAsNew",
}

_OUTCOMES = {"Running": "", "Completed": "Succeeded", "Canceled": "Cancelled"}


@dataclass(frozen=True)
class Filter:
    """Which runs to list."""

    ref: Ref | None = None
    environment: str | None = None
    phase: str | None = None
    closed: bool = False
    """Ended runs too."""
    rollbacks: bool = False
    limit: int = 50

    @property
    def query(self) -> str:
        """The filter in Temporal's list language; every value in it has been validated."""
        kinds = "('Release', 'Rollback')" if self.rollbacks else "('Release')"
        parts = [f"WorkflowType IN {kinds}"]
        if self.ref:
            parts.append(f"WorkflowId IN ('{self.ref.workflow_id}', '{self.ref.rollback.workflow_id}')")
        if self.environment:
            parts.append(f"{ENVIRONMENT.name} = '{self.environment}'")
        if self.phase:
            parts.append(f"{PHASE.name} = '{self.phase}'")
        parts.append("ExecutionStatus != 'ContinuedAsNew'" if self.closed else "ExecutionStatus = 'Running'")
        return " AND ".join(parts)


async def find(client: Client, query: Filter) -> list[Listed]:
    """Runs that match, newest first; an ended one whose attributes don't tell its outcome costs one more call."""
    runs = [run async for run in client.list_workflows(query.query, limit=query.limit)]
    runs.sort(key=lambda run: run.start_time, reverse=True)  # The server lists by the time of the end.
    return list(await asyncio.gather(*(_listed(client, run) for run in runs)))


async def _listed(client: Client, run: WorkflowExecution) -> Listed:
    kind, _, address = run.id.partition("/")
    environment, _, name = address.partition("/")
    state = execution(run)
    shown = known(run)
    return Listed(state, Ref(environment, name, kind), kind.capitalize(), shown, await _outcome(client, state))


async def _outcome(client: Client, run: Execution) -> str:
    """How a run ended, from its own closing event: the phase attribute may be older than the end."""
    if run.state != "Failed":
        return _OUTCOMES.get(run.state, run.state)
    try:
        await client.get_workflow_handle(run.workflow_id, run_id=run.run_id).result(follow_runs=False)
    except WorkflowFailureError as failure:
        return ending_of(failure).outcome
    except RPCError:  # Its history is gone already.
        return "Failed"
    return "Succeeded"


def execution(run: WorkflowExecution, *, first_run_id: str = "") -> Execution:
    """The run as plain data."""
    state = _STATES.get(run.status, "Unknown") if run.status else "Unknown"
    return Execution(run.id, run.run_id, first_run_id or run.run_id, state, run.start_time, run.close_time)


def known(run: WorkflowExecution) -> Known:
    """The search attributes as plain data."""
    attributes = run.typed_search_attributes
    return Known(
        version=attributes.get(VERSION) or "",
        phase=attributes.get(PHASE) or "",
        weight=attributes.get(WEIGHT),
        waiting_for=attributes.get(WAITING_FOR) or "",
    )


async def is_polled(client: Client, queue: str, kind: Literal["workflow", "activity"] = "workflow") -> bool:
    """Whether a worker asked this queue for work lately."""
    types: dict[str, Any] = {
        "workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    }
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=types[kind]
    )
    answer = await client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=3))
    since = datetime.now(UTC) - timedelta(seconds=STALE_SECONDS)
    return any(poller.last_access_time.ToDatetime(UTC) > since for poller in answer.pollers)
