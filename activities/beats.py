"""Heartbeats that can be repeated: what waits inside a client keeps its activity alive without knowing its state."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from temporalio import activity

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
