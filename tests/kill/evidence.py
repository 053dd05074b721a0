"""What histories, audit and state files prove about the releases that were played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

from tests.kill.releases import Wish
from tests.kill.stage import Played
from workflows.contracts.audit import AuditRecord
from workflows.contracts.journal import Entries
from workflows.contracts.metrics import Beat, Observed
from workflows.contracts.targets import Captured
from workflows.model.plan import Approve, Barrier, Observe, RolloutPlan, Step

CONVERTER = pydantic_data_converter.payload_converter


@dataclass
class Call:
    """One activity of a history."""

    name: str
    queue: str
    summary: str
    scheduled: float
    ended: float | None = None
    attempts: int = 0
    answer: Payload | None = None
    last_beat: Payload | None = None
    """What the last heartbeat said, of an activity whose worker was lost."""
    asked: Payload | None = None


@dataclass
class Story:
    """What one release and its Rollouts did."""

    played: Played
    release: WorkflowHistory
    rollouts: list[WorkflowHistory] = field(default_factory=list)

    @property
    def wish(self) -> Wish:
        return self.played.wish

    def write(self, folder: Path) -> None:
        """Keeps the histories for whoever asks why."""
        folder.mkdir(exist_ok=True)
        for number, history in enumerate((self.release, *self.rollouts)):
            name = f"{self.wish.service}-{self.wish.version}-{number}.json"
            (folder / name).write_text(history.to_json(), encoding="utf-8")


async def read(client: Client, played: Played) -> Story:
    """Fetches the histories of a release."""
    release = await client.get_workflow_handle(played.wish.id, run_id=played.run_id).fetch_history()
    story = Story(played, release)
    for event in release.events:
        if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            child = event.child_workflow_execution_started_event_attributes.workflow_execution
            handle = client.get_workflow_handle(child.workflow_id, run_id=child.run_id)
            story.rollouts.append(await handle.fetch_history())
    return story


def calls(history: WorkflowHistory) -> list[Call]:
    """The activities in the order they were asked for."""
    found: dict[int, Call] = {}
    for event in history.events:
        at = _seconds(event.event_time)
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                asked = event.activity_task_scheduled_event_attributes
                words = event.user_metadata.summary
                found[event.event_id] = Call(
                    asked.activity_type.name,
                    asked.task_queue.name,
                    CONVERTER.from_payload(words, str) if words.data else "",
                    at,
                    asked=next(iter(asked.input.payloads), None),
                )
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started = event.activity_task_started_event_attributes
                found[started.scheduled_event_id].attempts = started.attempt
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                done = event.activity_task_completed_event_attributes
                call = found[done.scheduled_event_id]
                call.ended, call.answer = at, next(iter(done.result.payloads), None)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                lost = event.activity_task_timed_out_event_attributes
                call = found[lost.scheduled_event_id]
                beats = lost.failure.timeout_failure_info.last_heartbeat_details.payloads
                call.ended, call.last_beat = at, next(iter(beats), None)
            case _:
                continue
    return list(found.values())


def plan_of(history: WorkflowHistory) -> RolloutPlan | None:
    """The plan that the Rollout recorded."""
    for call in calls(history):
        if call.name == "targets.capture" and call.answer is not None:
            captured: Captured = CONVERTER.from_payload(call.answer, Captured)
            if captured.planned is not None:
                return captured.planned.plan
    return None


def hurried(story: Story) -> Iterator[str]:
    """Steps that came before the time to observe was over, or was observed."""
    for history in story.rollouts:
        plan = plan_of(history)
        if plan is not None:
            yield from _hurried(story.wish, plan, calls(history))


def _hurried(wish: Wish, plan: RolloutPlan, made: list[Call]) -> Iterator[str]:
    observed = [call for call in made if call.name == "metrics.observe" and call.ended]
    done: float | None = None
    need = total = 0.0
    for step, call in _carried_out(plan, made):
        if isinstance(step.action, Observe):
            need += step.action.seconds
            total += step.action.seconds
        if call is None or done is None:
            done = call.ended if call else done
            continue
        if call.scheduled - done < need:
            yield f"{wish.id} {wish.version}: {step.summary!r} came {call.scheduled - done:.2f} s after, not {need:g} s"
        seen = sum(_observed(item) for item in observed if (item.ended or 0) <= call.scheduled)
        if seen < total - 0.001:
            yield f"{wish.id} {wish.version}: {step.summary!r} came when {seen:.2f} of {total:g} s were observed"
        done, need = call.ended, 0.0


def _carried_out(plan: RolloutPlan, made: list[Call]) -> Iterator[tuple[Step, Call | None]]:
    """The steps that were begun, each with its activity; waits for people and for time have none."""
    queue = made[0].queue
    left = iter([call for call in made if call.queue == queue and call.name.partition(".")[0] in _STEPS])
    following = next(left, None)
    for step in plan.steps:
        if following is not None and following.summary == step.summary:
            yield step, following
            following = next((call for call in left if not call.summary.startswith("Verify: ")), None)
        elif isinstance(step.action, Observe | Approve | Barrier):
            yield step, None


_STEPS = {"workloads", "traffic", "checks"}


def unasked(story: Story) -> Iterator[str]:
    """Users that met the new version before the people who decide had answered."""
    answered = story.played.answered_at
    for history in story.rollouts:
        plan = plan_of(history)
        if plan is None:
            continue
        waits = False
        for step, call in _carried_out(plan, calls(history)):
            waits = waits or isinstance(step.action, Approve)
            if waits and call is not None and (len(answered) < 2 or call.scheduled < max(answered)):
                yield f"{story.wish.id}: {step.summary!r} came before its approval"


def gates(story: Story) -> int:
    """How many steps of the plans wait for people."""
    plans = [plan_of(history) for history in story.rollouts]
    return sum(isinstance(step.action, Approve) for plan in plans if plan for step in plan.steps)


def recorded(story: Story) -> list[str]:
    """Ids of every audit record that the release wanted to be kept."""
    records: list[AuditRecord] = []
    for call in calls(story.release):
        if call.name == "journal.write" and call.asked is not None:
            records += CONVERTER.from_payload(call.asked, Entries).records
        if call.name == "audit.append" and call.asked is not None:
            records += CONVERTER.from_payload(call.asked, list[AuditRecord])
    return list(dict.fromkeys(record.id for record in records))


def repeated(stories: list[Story]) -> Counter[str]:
    """Activities that needed more than one attempt, by name: what kills did to them."""
    every = [call for story in stories for history in (story.release, *story.rollouts) for call in calls(history)]
    return Counter(call.name for call in every if call.attempts > 1)


def _observed(call: Call) -> float:
    if call.answer is not None:
        return CONVERTER.from_payload(call.answer, Observed).observed_seconds
    return CONVERTER.from_payload(call.last_beat, Beat).observed_seconds if call.last_beat else 0.0


def _seconds(at: Timestamp) -> float:
    return at.seconds + at.nanos / 1e9
