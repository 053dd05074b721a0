"""Whether a workflow run is open, asked of the server that runs it."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from workflows.errors import Unavailable

PATIENCE = timedelta(seconds=5)


class TemporalRuns:
    """The `RunProbe` of a worker: its own server, namespace and credentials."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def namespace(self) -> str:
        return self._client.namespace

    async def is_open(self, workflow_id: str, run_id: str | None) -> bool:
        """Whether this run is open, or any run of the workflow without a run id; unknown workflows are not.

        A run that continued as new is open while its successor is. Errors: Unavailable when the server gives no answer,
        which is never taken for "closed".
        """
        found = await self._describe(workflow_id, run_id)
        if found is None:
            return False
        if found.status is WorkflowExecutionStatus.CONTINUED_AS_NEW and run_id is not None:
            newest = await self._describe(workflow_id, None)
            return newest is not None and _is_running(newest) and _first_run(newest) == _first_run(found)
        return _is_running(found)

    async def _describe(self, workflow_id: str, run_id: str | None) -> WorkflowExecutionDescription | None:
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            return await handle.describe(rpc_timeout=PATIENCE)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise Unavailable(
                f"Temporal did not say whether {workflow_id} run {run_id or '(any)'} is open: {error.message}",
                provider="temporal",
                operation="describe",
            ) from error


def _is_running(found: WorkflowExecutionDescription) -> bool:
    return found.status is WorkflowExecutionStatus.RUNNING


def _first_run(found: WorkflowExecutionDescription) -> str:
    return found.raw_description.workflow_execution_info.first_run_id
