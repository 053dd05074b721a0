"""What a channel implements: one message to people."""

from __future__ import annotations

from typing import Literal, Protocol

from workflows.contracts.notifications import Notification

Severity = Literal["info", "warning", "critical"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


class Channel(Protocol):
    """Sends messages somewhere."""

    async def send(self, notification: Notification) -> None:
        """Sends once. Errors name the channel and never its address: Unavailable, RateLimited, Denied, Rejected."""
        ...

    async def close(self) -> None:
        """Gives connections and threads back; idempotent."""
        ...


def is_wanted(notification: Notification, least: Severity) -> bool:
    """Whether a channel that starts at `least` gets this message."""
    return SEVERITIES.index(notification.severity) >= SEVERITIES.index(least)
