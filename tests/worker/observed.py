"""What a census looks at: a release that waits, and a Rollout with an observation, without anything they would do."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.exceptions import ActivityError

from workflows.engine.visibility import NAME, PHASE, WAITING_FOR, WEIGHT


@workflow.defn(name="Release")
class WaitingRelease:
    """A release at 25 % that waits for an approval."""

    @workflow.run
    async def run(self) -> None:
        workflow.upsert_search_attributes(
            [
                NAME.value_set("shop"),
                PHASE.value_set("Observing"),
                WAITING_FOR.value_set("ApprovalWanted"),
                WEIGHT.value_set(25.0),
            ]
        )
        await workflow.wait_condition(lambda: False)


@workflow.defn(name="Rollout")
class ObservedRollout:
    """A Rollout in a phase, with an observation as long as it wants one."""

    def __init__(self) -> None:
        self.observes = True

    @workflow.run
    async def run(self, phase: str, observers: str) -> None:
        workflow.upsert_search_attributes([PHASE.value_set(phase)])
        observing = workflow.start_activity(
            "metrics.observe",
            task_queue=observers,
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=2),
            cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
        )
        await workflow.wait_condition(lambda: not self.observes)
        observing.cancel()
        with suppress(ActivityError):
            await observing
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def stop_observing(self) -> None:
        self.observes = False


@activity.defn(name="metrics.observe")
async def beat() -> None:
    """Gives signs of life until it is cancelled."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.1)
