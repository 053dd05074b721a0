"""The janitor's schedule: kept by every worker, run once when a worker starts.

A worker that starts is often the first one after an outage, so orphaned targets must not wait for the next round.
"""

from __future__ import annotations

from dataclasses import replace

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
)

from worker.connection import persistently
from worker.settings import Settings
from workflows.janitor import SCHEDULE_ID, Janitor


async def keep_janitor(client: Client, settings: Settings) -> None:
    """Makes the schedule as these settings say and starts a round now; who paused it meant that, so then it rests."""
    await persistently("the janitor's schedule", lambda: _keep(client, _schedule(settings)))


async def _keep(client: Client, schedule: Schedule) -> None:
    try:
        await client.create_schedule(SCHEDULE_ID, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(SCHEDULE_ID)
        state = (await handle.describe()).schedule.state
        await handle.update(lambda _: ScheduleUpdate(replace(schedule, state=state)))
        if not state.paused:
            await handle.trigger()


def _schedule(settings: Settings) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(Janitor.run, id=SCHEDULE_ID, task_queue=settings.task_queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=settings.janitor.every)]),
        # One round at a time: the next one sees what this one left.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
