"""One message to every channel at once; one that fails or breaks stops no other."""

from __future__ import annotations

import asyncio
import logging

from activities.notifications.protocol import Channel
from activities.registry import Registry
from workflows.contracts.notifications import Notification
from workflows.errors import PermanentError, ProviderError

logger = logging.getLogger(__name__)


async def deliver(channels: Registry[Channel], notification: Notification) -> dict[str, ProviderError]:
    """Sends once to every channel that does not have it yet; which failed, and why."""
    names = [name for name in channels.kinds if name not in notification.delivered]
    results = await asyncio.gather(*(_one(name, channels, notification) for name in names))
    failures = {name: error for name, error in zip(names, results, strict=True) if error is not None}
    for name, error in failures.items():
        logger.warning("channel %s did not send %s: %s", name, notification.event, error)
    return failures


async def _one(name: str, channels: Registry[Channel], notification: Notification) -> ProviderError | None:
    try:
        await channels.get(name).send(notification)
    except ProviderError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a channel that breaks must not stop the others.
        # Its own words may hold an address.
        return PermanentError(f"the channel broke: {type(error).__name__}", provider=name, operation="send")
    return None
