"""A workflow that continues as new once and then waits."""

from __future__ import annotations

from temporalio import workflow


@workflow.defn
class Chained:
    """Waits in the run after the first."""

    @workflow.run
    async def run(self, left: int) -> None:
        if left:
            workflow.continue_as_new(left - 1)
        await workflow.wait_condition(lambda: False)
