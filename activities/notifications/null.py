"""A channel that leads nowhere."""

from __future__ import annotations

from typing import Literal

from activities.settings import SettingsModel
from workflows.contracts.notifications import Notification


class NullChannelSettings(SettingsModel):
    """Settings of a channel that sends nothing."""

    kind: Literal["null"] = "null"


class NullChannel:
    """Sends nothing."""

    async def send(self, notification: Notification) -> None:
        del notification

    async def close(self) -> None:
        return None
