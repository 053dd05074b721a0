"""The bridge from the notification contract to every channel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from temporalio import activity

from activities.notifications.protocol import Channel
from activities.registry import Registry
from workflows.contracts.notifications import Notification, NotificationActivities
from workflows.errors import PermanentError, ProviderError, Rejected, TemporaryError, Unavailable

logger = logging.getLogger(__name__)


class Notifications(NotificationActivities):
    """Sends to all channels at once; a later attempt only to those that failed in a way that may pass."""

    def __init__(self, channels: Registry[Channel]) -> None:
        self._channels = channels

    async def send(self, notification: Notification) -> None:
        done = _done()
        names = [name for name in self._channels.kinds if name not in done]
        results = await asyncio.gather(*(self._one(name, notification) for name in names))
        failures = {name: error for name, error in zip(names, results, strict=True) if error is not None}
        for name, error in failures.items():
            logger.warning("channel %s did not send %s: %s", name, notification.event, error)
        retried = {name: error for name, error in failures.items() if isinstance(error, TemporaryError)}
        activity.heartbeat(sorted(done | set(names) - set(retried)))
        if retried:
            raise Unavailable(
                _sentence(retried), provider="notifications", operation="send", retry_after=_longest(retried)
            )
        if failures:
            raise Rejected(_sentence(failures), provider="notifications", operation="send")

    async def _one(self, name: str, notification: Notification) -> ProviderError | None:
        try:
            await self._channels.get(name).send(notification)
        except ProviderError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a channel that breaks must not stop the others.
            # Its own words may hold an address.
            return PermanentError(f"the channel broke: {type(error).__name__}", provider=name, operation="send")
        return None


def _done() -> set[str]:
    details = activity.info().heartbeat_details
    names = details[0] if details else []
    return {str(name) for name in names} if isinstance(names, list) else set()


def _sentence(failures: Mapping[str, ProviderError]) -> str:
    return "; ".join(f"channel {name}: {error}" for name, error in sorted(failures.items()))


def _longest(failures: dict[str, TemporaryError]) -> float | None:
    waits = [error.retry_after for error in failures.values() if error.retry_after is not None]
    return max(waits) if waits else None
