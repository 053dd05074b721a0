"""Heartbeats that can be repeated: what waits inside a client keeps its activity alive without knowing its state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any, TypeVar

from temporalio import activity

T = TypeVar("T")

EVERY = 3.0
"""Seconds between two signs of life of an activity that waits for others."""

_last: ContextVar[list[tuple[Any, ...]] | None] = ContextVar("headgate_last_beat", default=None)
"""The details sent last; a list, so that tasks which an activity started see what was sent after their start."""


def begin() -> None:
    """Forgets the beats of whatever ran in this context before."""
    _last.set([])


def send(*details: Any) -> None:
    """Heartbeats; the details are what the next attempt goes on from."""
    sent = _last.get()
    if sent is None:
        _last.set(sent := [])
    sent[:] = [details]
    activity.heartbeat(*details)


def repeat() -> None:
    """Says that the activity lives, without a change of what the next attempt goes on from; nothing elsewhere."""
    if activity.in_activity() and activity.info().heartbeat_timeout:
        sent = _last.get()
        activity.heartbeat(*(sent[0] if sent else activity.info().heartbeat_details))


async def during(work: Awaitable[T]) -> T:
    """Waits for something with signs of life, the last one at its end: many short waits are a long one too."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=EVERY)
            repeat()
        return task.result()
    finally:
        task.cancel()
