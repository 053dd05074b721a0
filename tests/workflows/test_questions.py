"""A question that reaches a worker before the task that somebody else was to carry out."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest
from temporalio import workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import Success, WorkflowActivationCompletion
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError
from temporalio.worker import (
    Replayer,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)

from tests.temporal import unique
from worker.ordering import TOO_EARLY, OneByOne

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
            await _answer(handle)
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


NEW, OLD = False, True
"""Whether an activation is a replay."""


@pytest.mark.parametrize(
    ("activations", "question", "is_answered"),
    [
        ([NEW], "legacy_query", False),
        ([OLD, NEW], "legacy_query", False),
        ([OLD], "legacy_query", True),
        ([OLD, NEW, NEW], "legacy_query", True),
        ([OLD, NEW], "one that came with its task", True),
    ],
)
def test_what_a_question_may_have_brought_about_is_forgotten(
    activations: list[bool], question: str, is_answered: bool
) -> None:
    """A worker that dies with a task leaves it to others, who may have read its events for a question already."""
    instance = OneByOne(_Anything()).create_instance(None)  # type: ignore[arg-type]
    for number, is_replaying in enumerate(activations, 1):
        instance.activate(_activation(number, is_replaying=is_replaying))
    answer = instance.activate(_question(question))
    assert answer.HasField("successful") is is_answered
    assert is_answered or TOO_EARLY in answer.failed.failure.message


def test_a_question_that_was_answered_leaves_no_doubt_about_the_next_task() -> None:
    instance = OneByOne(_Anything()).create_instance(None)  # type: ignore[arg-type]
    instance.activate(_activation(1, is_replaying=OLD))
    instance.activate(_question("legacy_query"))
    instance.activate(_activation(2, is_replaying=NEW))
    assert instance.activate(_question("legacy_query")).HasField("successful")


def _activation(number: int, *, is_replaying: bool) -> WorkflowActivation:
    act = WorkflowActivation(run_id="run", is_replaying=is_replaying, history_length=3 * number)
    act.timestamp.FromSeconds(number)
    act.jobs.add().signal_workflow.signal_name = "tell"
    return act


def _question(query_id: str) -> WorkflowActivation:
    act = WorkflowActivation(run_id="run", is_replaying=True)
    act.jobs.add().query_workflow.query_id = query_id
    return act


class _Anything(WorkflowRunner):
    """Runs workflows that take everything."""

    def prepare_workflow(self, defn: Any) -> None:
        """Nothing to prepare."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        taken = MagicMock(spec=WorkflowInstance)
        taken.activate.side_effect = lambda act: WorkflowActivationCompletion(run_id=act.run_id, successful=Success())
        return taken


async def _answer(handle: WorkflowHandle[Clockwork, int]) -> None:
    while True:
        with contextlib.suppress(WorkflowQueryFailedError):
            await handle.query(Clockwork.told, rpc_timeout=timedelta(seconds=5))
            return


async def _ask(handle: WorkflowHandle[Clockwork, int]) -> None:
    with contextlib.suppress(RPCError, WorkflowQueryFailedError):
        await handle.query(Clockwork.told, rpc_timeout=timedelta(seconds=5))
