"""Starts by hand: whatever is given, the workflow ends at once and says what it wants."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from tests.temporal import unique
from tests.workflows.lab import Lab

GIVEN: dict[str, tuple[list[Any], str]] = {
    "nothing": ([], "got none"),
    "two documents": ([{}, {}], "got dict, dict"),
    "null": ([None], "got NoneType"),
    "text": (["release.yaml"], "got str"),
    "a list": ([[{}]], "got list"),
}


@pytest.mark.parametrize("workflow", ["Release", "Rollback"])
@pytest.mark.parametrize("given", GIVEN)
async def test_anything_but_one_object_is_refused_at_once(lab: Lab, workflow: str, given: str) -> None:
    arguments, said = GIVEN[given]
    handle = await lab.client.start_workflow(
        workflow, args=arguments, id=f"{workflow.lower()}/test/{unique('shop')}", task_queue=lab.queue
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "BadSpec"
    assert said in failed.value.cause.message


@pytest.mark.parametrize("arguments", [[], [None], [{}], ["shop"], [{}, {}]], ids=str)
async def test_a_rollout_that_a_person_starts_gives_its_lock_back_at_once(lab: Lab, arguments: list[Any]) -> None:
    lock = f"rollout/local/test/process/{unique('shop')}"
    handle = await lab.client.start_workflow("Rollout", args=arguments, id=lock, task_queue=lab.queue)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "BadStart"
