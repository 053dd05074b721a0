"""Tell people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Literal

from temporalio import activity

from workflows.model.shapes import Message, Sentence
from workflows.model.target import ReleaseRef


class Notification(Message):
    release: ReleaseRef
    severity: Literal["info", "warning", "critical"] = "info"
    event: str
    """A constant such as `release_started`, `approval_wanted`, `rolled_back`."""
    title: Sentence
    message: Sentence = ""
    at: datetime | None = None
    delivered: tuple[str, ...] = ()
    """Channels that have it already, or never will take it."""


class NotificationActivities(ABC):
    """Messages to people; never awaited before traffic moves."""

    @activity.defn(name="notifications.send")
    @abstractmethod
    async def send(self, notification: Notification) -> None:
        """Sends to every configured channel; one that fails does not stop the others. At least once."""
