"""How long each kind of activity may take, how often it is tried, and on which queue: one table.

No local activities: where a query comes with the same workflow task, what follows from one is recorded behind what came
meanwhile, and no later replay agrees (temporalio 1.35, docs/adr/0008-no-local-activities.md).

Observers and undo have queues of their own, because priority does not preempt: observers in all slots delayed an undo
by 11 s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    FailureError,
    TimeoutError,  # noqa: A004 - Temporal's name.
    TimeoutType,
)
from temporalio.workflow import ActivityCancellationType, ActivityHandle

from workflows.model.shapes import cut_sentence

HEARTBEAT = timedelta(seconds=15)
"""Another worker takes over a lost long activity within this time."""

PATIENCE = timedelta(seconds=60)
"""How long work waits in the queue of a cluster before it is said that nobody takes it."""
NOBODY = "NoWorkerForCluster"

_BRISK = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))

_TOLD = replace(_BRISK, non_retryable_error_types=["NotReady"])
"""Who has waited and says that the world has not followed is heard at once."""


@dataclass(frozen=True)
class Profile:
    """One way to call an activity."""

    queue: str = ""
    """Suffix of the workflow's own task queue."""
    attempt: timedelta = timedelta(minutes=2)
    """One try."""
    total: timedelta | None = timedelta(minutes=5)
    """All tries together, waiting for a free worker included."""
    beats: timedelta | None = timedelta(seconds=10)
    """A worker that gave no sign of life for so long has died; one that waits for its turn at an API server gives them.
    """
    cancellation: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL
    retry: RetryPolicy = field(default_factory=lambda: _BRISK)


@dataclass(frozen=True)
class Line:
    """Who shall do it: the workers of the workflow's own queue, or those that poll the queue of a cluster."""

    queue: str = ""
    patience: timedelta = PATIENCE
    """How long it waits in the queue of a cluster."""


HOME = Line()
PLAN = Profile(attempt=timedelta(seconds=30))
USUAL = Profile()
ASK = replace(USUAL, total=timedelta(seconds=75))
"""For a person who waits for the answer."""
WAIT = Profile(attempt=timedelta(hours=2), total=None, beats=HEARTBEAT, retry=_TOLD)
UNDO = Profile(queue=".undo", attempt=timedelta(seconds=30), total=timedelta(seconds=60))
UNDO_WAIT = Profile(queue=".undo", attempt=timedelta(hours=2), total=None, beats=HEARTBEAT, retry=_TOLD)
OBSERVE = Profile(
    queue=".observe",
    attempt=timedelta(hours=2),
    total=None,
    beats=HEARTBEAT,
    cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
FOLLOW = replace(OBSERVE, total=timedelta(minutes=30), retry=RetryPolicy(maximum_attempts=1))
"""Nice to know: whoever takes over from a lost worker would not know what that one had counted."""
BACKTEST = Profile(queue=".observe", attempt=timedelta(minutes=10), total=timedelta(minutes=11), beats=HEARTBEAT)
"""Thousands of questions to a metric store, for somebody who waits."""
GATHER = Profile(attempt=timedelta(seconds=15), beats=None, total=timedelta(seconds=20))
"""What is known of a failed version: an undo may wait for it once users are back, and not long."""
MEASURE = Profile(
    queue=".observe",
    attempt=timedelta(seconds=30),
    beats=None,
    total=timedelta(seconds=40),
    retry=RetryPolicy(maximum_attempts=1),
)
"""Nice to know: one try, and where nobody answers it is not known."""
TELL = Profile(attempt=timedelta(seconds=30), beats=None, total=timedelta(hours=1))
"""Audit and notifications."""


def begin(
    method: Callable[..., Any],
    argument: Any,
    profile: Profile,
    summary: str = "",
    line: Line = HOME,
) -> ActivityHandle[Any]:
    """Starts an activity; see `call`."""
    total = profile.total + line.patience if line.queue and profile.total else profile.total
    return workflow.start_activity_method(
        method,
        args=[] if argument is None else [argument],
        task_queue=(line.queue or workflow.info().task_queue) + profile.queue,
        start_to_close_timeout=profile.attempt,
        schedule_to_close_timeout=total,
        schedule_to_start_timeout=line.patience if line.queue else None,
        heartbeat_timeout=profile.beats,
        cancellation_type=profile.cancellation,
        retry_policy=profile.retry,
        summary=summary or None,
    )


async def call(
    method: Callable[..., Any], argument: Any, profile: Profile, summary: str = "", line: Line = HOME
) -> Any:
    """Calls an activity of a contract and returns its result. Errors: ActivityError when it is out of tries."""
    return await begin(method, argument, profile, summary, line)


@dataclass(frozen=True)
class Failure:
    """Why an activity is out of tries: the name of our own error class, and its sentence."""

    reason: str
    message: str
    field: str = ""
    """Of a ForeignChange: the object and its field."""


def failure_of(error: BaseException) -> Failure:
    """Reads our error out of Temporal's wrapping; timeouts and lost workers become `Unavailable`."""
    cause: BaseException | None = error
    while isinstance(cause, ActivityError) and cause.cause is not None:
        cause = cause.cause
    if isinstance(cause, ApplicationError):
        field = cause.details[0].get("field", "") if cause.details and isinstance(cause.details[0], dict) else ""
        return Failure(cause.type or "ProviderError", cut_sentence(cause.message), field)
    if _is_unserved(cause):
        return Failure(NOBODY, "no worker of the cluster takes work from its queue")
    if isinstance(cause, FailureError):
        return Failure("Unavailable", cause.message or type(cause).__name__)
    return Failure(type(cause).__name__, str(cause))


def is_cancelled(error: BaseException) -> bool:
    """Whether an activity ended because we cancelled it."""
    return isinstance(error, ActivityError) and isinstance(error.cause, CancelledError)


def is_unserved(error: BaseException) -> bool:
    """Whether nobody took an activity from the queue of a cluster in time, at its first try or at a later one."""
    return isinstance(error, ActivityError) and _is_unserved(error.cause)


def _is_unserved(cause: BaseException | None) -> bool:
    return isinstance(cause, TimeoutError) and cause.type == TimeoutType.SCHEDULE_TO_START
