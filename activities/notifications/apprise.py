"""Messages through apprise: Slack, Teams, PagerDuty, e-mail and a hundred more, each by an address that is a secret."""

from __future__ import annotations

import asyncio
import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

import apprise
from pydantic import Field, SecretStr

from activities.notifications.protocol import Severity, is_wanted
from activities.settings import SettingsModel
from workflows.contracts.notifications import Notification
from workflows.errors import Rejected, Unavailable

_TYPES = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}


class AppriseSettings(SettingsModel):
    """Settings of a channel that uses apprise."""

    kind: Literal["apprise"] = "apprise"
    urls: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=50)]
    """Addresses as apprise writes them; secrets, because they carry tokens and passwords."""
    severity: Severity = "info"
    """The least severity that is sent."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 60
    """Seconds until a message that is still being sent counts as failed."""


class AppriseChannel:
    """Sends to all addresses in threads of its own; the library blocks, and its log would show the addresses."""

    def __init__(self, settings: AppriseSettings) -> None:
        self._settings = settings
        _silence()
        self._services = [_service(url, i) for i, url in enumerate(settings.urls, start=1)]
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="apprise")

    async def send(self, notification: Notification) -> None:
        if not is_wanted(notification, self._settings.severity):
            return
        results = await asyncio.gather(*(self._one(service, notification) for service in self._services))
        failed = [str(i) for i, sent in enumerate(results, start=1) if not sent]
        if failed:
            raise Unavailable(
                f"apprise could not send to address {', '.join(failed)} of {len(results)}",
                provider="apprise",
                operation="send",
            )

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _one(self, service: apprise.NotifyBase, notification: Notification) -> bool:
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(self._threads, _send, service, notification)
        try:
            return await asyncio.wait_for(sending, self._settings.timeout)
        except TimeoutError:
            return False


def _send(service: apprise.NotifyBase, notification: Notification) -> bool:
    """Blocks; whatever a service raises means that it did not send."""
    try:
        return bool(
            service.notify(
                title=notification.title,
                body=notification.message or notification.title,
                notify_type=_TYPES[notification.severity],
            )
        )
    except Exception:  # noqa: BLE001 - a hundred services raise what they like, often with the address in it.
        return False


def _service(url: SecretStr, number: int) -> apprise.NotifyBase:
    with warnings.catch_warnings():
        # The first address loads a hundred services, some of which use modules that Python is about to drop.
        warnings.simplefilter("ignore", DeprecationWarning)
        service = apprise.Apprise.instantiate(url.get_secret_value(), suppress_exceptions=True)
    if service is None:
        raise Rejected(
            f"address {number} of the apprise channel is not one that apprise understands", provider="apprise"
        )
    return service


def _silence() -> None:
    """Addresses stay out of every log: apprise's own, and the debug lines of the HTTP library below it."""
    logging.getLogger("apprise").disabled = True
    for name in ("urllib3", "requests"):
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)
