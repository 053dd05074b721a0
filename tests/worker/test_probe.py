"""Whether a run is open is what the server says, and no answer is never "closed"."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from cli.tools import Toolbox
from tests.temporal import unique
from tests.worker.chained import Chained
from worker.probe import TemporalRuns
from worker.sandbox import workflow_runner
from workflows.errors import Unavailable


async def start(client: Client, workflow_id: str, left: int = 0) -> WorkflowHandle[Chained, None]:
    """Starts one on a queue that has its own name."""
    return await client.start_workflow(Chained.run, left, id=workflow_id, task_queue=workflow_id)


async def test_a_running_run_is_open_and_a_terminated_one_is_not(client: Client) -> None:
    runs, handle = TemporalRuns(client), await start(client, unique("probe"))
    run_id = handle.first_execution_run_id

    assert await runs.is_open(handle.id, run_id)
    assert await runs.is_open(handle.id, None)

    await handle.terminate()

    assert not await runs.is_open(handle.id, run_id)
    assert not await runs.is_open(handle.id, None)


async def test_an_old_run_is_closed_while_a_new_one_of_the_same_workflow_is_open(client: Client) -> None:
    runs, workflow_id = TemporalRuns(client), unique("probe")
    first = await start(client, workflow_id)
    await first.terminate()
    second = await start(client, workflow_id)

    assert not await runs.is_open(workflow_id, first.first_execution_run_id)
    assert await runs.is_open(workflow_id, None)
    await second.terminate()


async def test_an_unknown_workflow_is_not_open(client: Client) -> None:
    runs = TemporalRuns(client)

    assert not await runs.is_open(unique("nobody"), None)
    assert not await runs.is_open(unique("nobody"), "6b9f0f64-6f0c-4f0f-9a54-5d8a6e1c2f10")


async def test_a_run_that_continued_as_new_is_open_while_its_successor_is(client: Client) -> None:
    runs, workflow_id = TemporalRuns(client), unique("probe")
    async with Worker(client, task_queue=workflow_id, workflows=[Chained], workflow_runner=workflow_runner()):
        handle = await start(client, workflow_id, left=1)
        first_run = client.get_workflow_handle(workflow_id, run_id=handle.first_execution_run_id)
        async with asyncio.timeout(120):
            while (await first_run.describe()).status is not WorkflowExecutionStatus.CONTINUED_AS_NEW:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        assert await runs.is_open(workflow_id, handle.first_execution_run_id)

        await client.get_workflow_handle(workflow_id).terminate()

        assert not await runs.is_open(workflow_id, handle.first_execution_run_id)
        another = await start(client, workflow_id)
        assert not await runs.is_open(workflow_id, handle.first_execution_run_id)
        await another.terminate()


async def test_no_answer_is_an_error_and_never_closed() -> None:
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Toolbox().temporal().path), dev_server_log_level="error"
    )
    runs = TemporalRuns(server.client)
    assert not await runs.is_open("release/test/shop", None)

    await server.shutdown()

    with pytest.raises(Unavailable, match="did not say"):
        await runs.is_open("release/test/shop", None)
