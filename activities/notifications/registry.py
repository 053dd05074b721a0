"""The channels of a worker, by the names that its settings give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from activities.notifications.apprise import AppriseChannel, AppriseSettings
from activities.notifications.log import LogChannel, LogSettings
from activities.notifications.null import NullChannel, NullChannelSettings
from activities.notifications.protocol import Channel
from activities.notifications.webhook import WebhookChannel, WebhookSettings
from activities.registry import Factory, Registry

ChannelSettings = Annotated[
    LogSettings | WebhookSettings | AppriseSettings | NullChannelSettings, Field(discriminator="kind")
]
"""Settings of one channel, by `kind`."""


def channels(settings: Mapping[str, ChannelSettings]) -> Registry[Channel]:
    """Every channel, third parties' included; each message goes to all of them. Without settings there is the log."""
    named = settings or {"log": LogSettings()}
    return Registry("notifications", {name: _factory(one) for name, one in named.items()})


def _factory(settings: ChannelSettings) -> Factory[Channel]:
    match settings:
        case LogSettings():
            return lambda: LogChannel(settings)
        case WebhookSettings():
            return lambda: WebhookChannel(settings)
        case AppriseSettings():
            return lambda: AppriseChannel(settings)
        case NullChannelSettings():
            return NullChannel
