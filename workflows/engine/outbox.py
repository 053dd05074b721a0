"""Signals to another workflow, in order, without anybody waiting for them.

Handles are external ones by workflow id: after a reset of the other side a child handle answers "not found".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.model.shapes import Message

RELEASE_GONE = "the release that started this is gone"
"""What a Rollout says of its end when nobody hears it any more."""


class Outbox:
    """Sends messages to one workflow one after the other; `on_lost` hears when it is gone."""

    def __init__(self, workflow_id: str, signal: str, on_lost: Callable[[], None]) -> None:
        self._workflow_id = workflow_id
        self._signal = signal
        self._on_lost = on_lost
        self._waiting: list[Message] = []
        self._task: asyncio.Task[None] | None = None

    def send(self, message: Message) -> None:
        """Queues a message; it leaves in this activation when nothing else is on its way."""
        self._waiting.append(message)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())

    async def flush(self, limit: timedelta = timedelta(seconds=10)) -> None:
        """Waits until everything was sent, at most this long."""
        if self._task is not None and not self._task.done():
            await workflow.wait([self._task], timeout=limit.total_seconds())

    async def _drain(self) -> None:
        handle = workflow.get_external_workflow_handle(self._workflow_id)
        while self._waiting:
            message = self._waiting.pop(0)
            try:
                await handle.signal(self._signal, message)
            except ApplicationError:
                self._waiting.clear()
                self._on_lost()
