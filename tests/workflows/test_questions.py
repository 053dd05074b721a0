"""A question that reaches a worker before the task that somebody else was to carry out."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from tests.temporal import unique
from worker.ordering import OneByOne

RUNNER = OneByOne(UnsandboxedWorkflowRunner())


@workflow.defn
class Clockwork:
    """Does one thing or the other, by the time its task began."""

    def __init__(self) -> None:
        self._told = 0

    @workflow.run
    async def run(self) -> int:
        begun = workflow.now()
        await workflow.wait_condition(lambda: self._told > 0)
        for _ in range(1 if workflow.now() - begun < timedelta(seconds=1) else 2):
            await workflow.sleep(0.01)
        return self._told

    @workflow.signal
    async def tell(self) -> None:
        self._told += 1

    @workflow.query
    def told(self) -> int:
        return self._told


async def test_a_question_moves_no_workflow(client: Client) -> None:
    """Without the refusal in `worker/ordering.py` most of these histories do not replay."""
    queue = unique("questions")
    async with Worker(client, task_queue=queue, workflows=[Clockwork], workflow_runner=RUNNER):
        handles = [
            await client.start_workflow(Clockwork.run, id=unique("clockwork"), task_queue=queue) for _ in range(10)
        ]
        for handle in handles:
            await handle.query(Clockwork.told, rpc_timeout=timedelta(seconds=5))
    asking = [asyncio.create_task(_ask(handle)) for handle in handles for _ in range(3)]
    await asyncio.sleep(1.2)
    for handle in handles:
        await handle.signal(Clockwork.tell)
    async with Worker(client, task_queue=queue, workflows=[Clockwork], workflow_runner=RUNNER):
        assert await asyncio.gather(*(handle.result() for handle in handles)) == [1] * 10
        await asyncio.gather(*asking)
        replayer = Replayer(workflows=[Clockwork], workflow_runner=RUNNER)
        for handle in handles:
            await replayer.replay_workflow(await handle.fetch_history())


async def _ask(handle: WorkflowHandle[Clockwork, int]) -> None:
    with contextlib.suppress(RPCError, WorkflowQueryFailedError):
        await handle.query(Clockwork.told, rpc_timeout=timedelta(seconds=5))
