"""The bridge from the notification contract to every channel."""

from __future__ import annotations

from collections.abc import Mapping

from temporalio import activity

from activities.notifications.fan_out import deliver
from activities.notifications.protocol import Channel
from activities.registry import Registry
from workflows.contracts.notifications import Notification, NotificationActivities
from workflows.errors import ProviderError, Rejected, TemporaryError, Unavailable


class Notifications(NotificationActivities):
    """Sends to all channels at once; a later attempt only to those that failed in a way that may pass."""

    def __init__(self, channels: Registry[Channel]) -> None:
        self._channels = channels

    async def send(self, notification: Notification) -> None:
        done = _done() | set(notification.delivered)
        failures = await deliver(self._channels, notification.model_copy(update={"delivered": tuple(done)}))
        retried = {name: error for name, error in failures.items() if isinstance(error, TemporaryError)}
        activity.heartbeat(sorted(set(self._channels.kinds) - set(retried)))
        if retried:
            raise Unavailable(
                _sentence(retried), provider="notifications", operation="send", retry_after=_longest(retried)
            )
        if failures:
            raise Rejected(_sentence(failures), provider="notifications", operation="send")


def _done() -> set[str]:
    details = activity.info().heartbeat_details
    names = details[0] if details else []
    return {str(name) for name in names} if isinstance(names, list) else set()


def _sentence(failures: Mapping[str, ProviderError]) -> str:
    return "; ".join(f"channel {name}: {error}" for name, error in sorted(failures.items()))


def _longest(failures: dict[str, TemporaryError]) -> float | None:
    waits = [error.retry_after for error in failures.values() if error.retry_after is not None]
    return max(waits) if waits else None
