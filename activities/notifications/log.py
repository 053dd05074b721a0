"""Messages to the worker's own log."""

from __future__ import annotations

import logging
from typing import Literal

from activities.notifications.protocol import Severity, is_wanted
from activities.settings import SettingsModel
from workflows.contracts.notifications import Notification

logger = logging.getLogger(__name__)

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}


class LogSettings(SettingsModel):
    """Settings of a channel that writes to the worker's log."""

    kind: Literal["log"] = "log"
    severity: Severity = "info"
    """The least severity that is sent."""


class LogChannel:
    """Writes one structured line per message."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings

    async def send(self, notification: Notification) -> None:
        if not is_wanted(notification, self._settings.severity):
            return
        release = notification.release
        logger.log(
            _LEVELS[notification.severity],
            "%s/%s %s: %s%s",
            release.environment,
            release.name,
            release.version,
            notification.title,
            f" - {notification.message}" if notification.message else "",
            extra={
                "event": notification.event,
                "environment": release.environment,
                "release": release.name,
                "version": release.version,
            },
        )

    async def close(self) -> None:
        return None
