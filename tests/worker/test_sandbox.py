"""Types that cross the sandbox's border are the same on both sides, and workflow code stays inside."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.worker import Worker

from tests.temporal import unique
from tests.worker.sandboxed import WATCHED, Sandboxed, identities
from worker.sandbox import PASSTHROUGH, workflow_runner


async def test_passed_through_types_are_identical_inside_the_sandbox(client: Client) -> None:
    queue = unique("sandbox")
    async with Worker(client, task_queue=queue, workflows=[Sandboxed], workflow_runner=workflow_runner()):
        inside = await client.execute_workflow(Sandboxed.run, id=queue, task_queue=queue)

    outside = identities()
    watched = {f"{item.__module__}.{item.__qualname__}" for item in WATCHED}
    assert {name for name in outside if inside[name] != outside[name]} == watched


def test_workflow_code_itself_is_never_passed_through() -> None:
    assert "workflows" not in PASSTHROUGH
    assert not [name for name in PASSTHROUGH if name.startswith(("workflows.engine", "workflows.re", "workflows.ro"))]
