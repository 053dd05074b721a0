"""What Temporal wrote down about a workflow: its events by kind, and when its activities ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

_KINDS = {
    "WORKFLOW_TASK": "workflow tasks",
    "TIMER": "timers",
    "SIGNAL_EXTERNAL": "signals between release and rollout",
    "EXTERNAL_WORKFLOW": "signals between release and rollout",
    "WORKFLOW_EXECUTION_SIGNALED": "signals between release and rollout",
    "WORKFLOW_EXECUTION_UPDATE": "messages of people",
    "UPSERT": "search attributes",
    "CHILD_WORKFLOW": "start and end",
    "START_CHILD": "start and end",
    "WORKFLOW_EXECUTION": "start and end",
}
FAMILIES = {
    "planning": "planning",
    "metrics": "observation",
    "journal": "audit and notifications",
}


@dataclass(frozen=True)
class Interval:
    """One activity from the moment a worker had it until its answer was recorded."""

    name: str
    started: float
    ended: float


async def events(client: Client, workflow_id: str, run_id: str | None = None) -> list[HistoryEvent]:
    """The whole history of one run."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    return [event async for event in handle.fetch_history_events()]


def by_kind(history: Iterable[HistoryEvent]) -> Counter[str]:
    """Events by what they are for; those of an activity count for its family."""
    scheduled: dict[int, str] = {}
    counted: Counter[str] = Counter()
    for event in history:
        name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        if name == "ACTIVITY_TASK_SCHEDULED":
            scheduled[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        if name.startswith("ACTIVITY"):
            family = scheduled[_schedule_of(event)].partition(".")[0]
            counted[f"activities: {FAMILIES.get(family, 'steps')}"] += 1
        else:
            counted[next(kind for start, kind in _KINDS.items() if name.startswith(start))] += 1
    return counted


def activities(history: Iterable[HistoryEvent]) -> list[Interval]:
    """When each completed activity ran."""
    names: dict[int, str] = {}
    begun: dict[int, float] = {}
    found = []
    for event in history:
        at = event.event_time.ToNanoseconds() / 1e9
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            begun[_schedule_of(event)] = at
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            schedule = _schedule_of(event)
            found.append(Interval(names[schedule], begun[schedule], at))
    return found


def lost_attempts(history: Iterable[HistoryEvent]) -> Counter[str]:
    """Activities of which an attempt took too long or gave no sign of life, each with the clock that ran out.

    The server keeps the last attempt that failed, so of several in a row this counts one.
    """
    names: dict[int, str] = {}
    found: Counter[str] = Counter()
    for event in history:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        for failure in (
            event.activity_task_started_event_attributes.last_failure,
            event.activity_task_timed_out_event_attributes.failure,
        ):
            if failure.HasField("timeout_failure_info"):
                clock = TimeoutType.Name(failure.timeout_failure_info.timeout_type).removeprefix("TIMEOUT_TYPE_")
                found[f"{names[_schedule_of(event)]}: {clock}"] += 1
    return found


def union(intervals: Sequence[Interval]) -> float:
    """Seconds in which at least one of them ran."""
    total, reached = 0.0, float("-inf")
    for interval in sorted(intervals, key=lambda one: one.started):
        total += max(0.0, interval.ended - max(interval.started, reached))
        reached = max(reached, interval.ended)
    return total


def lasted(history: Sequence[HistoryEvent]) -> float:
    """Seconds from the first event to the last."""
    return (history[-1].event_time.ToNanoseconds() - history[0].event_time.ToNanoseconds()) / 1e9


def _schedule_of(event: HistoryEvent) -> int:
    """The event that scheduled the activity of an event."""
    attributes = getattr(event, event.WhichOneof("attributes") or "")
    return int(getattr(attributes, "scheduled_event_id", event.event_id))
