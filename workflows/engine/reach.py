"""Activities of one target, on the queue of its cluster, where perhaps nobody works.

A worker inside a cluster polls a queue of its own. Work that nobody there takes within a minute comes back, and
`missing` says so until somebody does; meanwhile it lies in the queue, so that whoever comes finds it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ActivityHandle

from workflows.contracts.targets import TargetActivities
from workflows.contracts.workers import Introduction, WorkerActivities
from workflows.engine import calls
from workflows.engine.calls import Line, Profile
from workflows.model.decision import Decision
from workflows.model.target import Target

_LONG_PATIENCE = timedelta(minutes=30)
"""Once it is known that nobody is there, each return costs history and tells nothing new."""

_QUESTION = timedelta(seconds=10)
"""How long a question to every cluster waits: one that is away must not keep the others waiting."""


class Reach:
    """The way to whoever carries out a target's activities."""

    def __init__(self, target: Target, on_change: Callable[[], None]) -> None:
        self.target = target
        self.missing: Decision | None = None
        """Set while nobody works at the cluster's queue."""
        self._on_change = on_change

    def begin(
        self, method: Callable[..., Any], argument: Any, profile: Profile, summary: str = ""
    ) -> ActivityHandle[Any]:
        """Starts an activity; see `calls.begin`."""
        patience = _LONG_PATIENCE if self.missing else calls.PATIENCE
        return calls.begin(method, argument, profile, summary, Line(self.target.queue, patience))

    async def call(self, method: Callable[..., Any], argument: Any, profile: Profile, summary: str = "") -> Any:
        """As `calls.call`, for as long as it takes until somebody works there."""
        while True:
            try:
                answer = await self.begin(method, argument, profile, summary)
            except ActivityError as error:
                if not calls.is_unserved(error):
                    if not calls.is_cancelled(error):
                        self._found()
                    raise
                self._lost()
            else:
                self._found()
                return answer

    async def find(self) -> None:
        """Returns when somebody works there again, after a call that came back unserved."""
        self._lost()
        with suppress(ActivityError):  # Whatever else failed, somebody tried.
            await self.call(TargetActivities.find_mark, self.target, calls.USUAL, "Wait for a worker of the cluster")

    def _lost(self) -> None:
        if self.missing is None:
            cluster, queue = self.target.cluster, self.target.queue
            message = f"no worker takes work from {queue}, the queue of cluster {cluster}; start one inside the cluster"
            self.missing = Decision(verdict="hold", reason=calls.NOBODY, message=message)
            self._on_change()

    def _found(self) -> None:
        if self.missing is not None:
            self.missing = None
            self._on_change()


async def ask_everywhere(
    method: Callable[..., Any], argument: Any, summary: str, profile: Profile = calls.USUAL
) -> tuple[dict[str, Any], list[str]]:
    """What the workers answer by their queue, ours being the empty one; and the queues from which no answer came."""
    ours: Introduction = await calls.call(WorkerActivities.introduce, None, calls.USUAL, "Find the cluster workers")
    queues = ["", *ours.queues]
    answers = await asyncio.gather(*(_ask(method, argument, summary, queue, profile) for queue in queues))
    found = {queue: answer for queue, answer in zip(queues, answers, strict=True) if answer is not None}
    return found, [queue for queue in queues if queue not in found]


async def ask_at(cluster: str, method: Callable[..., Any], argument: Any, summary: str) -> Any:
    """What a worker answers that reaches a cluster: ours, or one inside it.

    Errors: ActivityError; ApplicationError of type NoWorkerForCluster.
    """
    ours: Introduction = await calls.call(WorkerActivities.introduce, None, calls.ASK, "Find the cluster workers")
    try:
        return await calls.call(method, argument, calls.ASK, summary, Line(ours.reached.get(cluster, ""), _QUESTION))
    except ActivityError as error:
        if not calls.is_unserved(error):
            raise
        message = f"no worker inside cluster {cluster} answered; start one there"
        raise ApplicationError(message, type=calls.NOBODY, non_retryable=True) from error


async def _ask(method: Callable[..., Any], argument: Any, summary: str, queue: str, profile: Profile) -> Any:
    """None where nobody answers."""
    try:
        answer = await calls.call(method, argument, profile, summary, Line(queue, _QUESTION))
    except ActivityError as error:
        if not queue:
            raise
        workflow.logger.warning("the workers at %s did not answer: %s", queue, calls.failure_of(error).message)
        return None
    return answer
