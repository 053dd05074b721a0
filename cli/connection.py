"""The connection to Temporal, configured exactly as that of the `temporal` CLI.

Order: an option of this command line, `TEMPORAL_*`, the profile file. Nothing here is Headgate's own but the limit on
how long a dead server may keep a person waiting.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cli.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from temporalio.client import Client

CONNECT_SECONDS = 4.0
DEFAULT_ADDRESS = "localhost:7233"


@dataclass(frozen=True)
class Connection:
    """Which server and namespace; None leaves it to the profile."""

    address: str | None = None
    namespace: str | None = None
    profile: str | None = None
    task_queue: str | None = None

    @property
    def queue(self) -> str:
        """The workers' task queue."""
        return self.task_queue or "headgate"

    async def open(self) -> Client:
        """Connects, or raises Unreachable within about four seconds. Errors: BadInput for a wrong profile."""
        from temporalio.client import Client
        from temporalio.contrib.pydantic import pydantic_data_converter
        from temporalio.envconfig import ClientConfig

        try:
            config = ClientConfig.load_client_connect_config(self.profile)
        except (RuntimeError, ValueError, OSError) as error:
            raise BadInput(f"The Temporal profile cannot be read: {error}", reason="BadProfile") from error
        config.setdefault("target_host", DEFAULT_ADDRESS)
        if self.address:
            config["target_host"] = self.address
        if self.namespace:
            config["namespace"] = self.namespace
        address = config["target_host"]
        try:
            return await asyncio.wait_for(
                Client.connect(
                    **config,
                    data_converter=pydantic_data_converter,
                    connect_timeout=timedelta(seconds=CONNECT_SECONDS),
                ),
                CONNECT_SECONDS,
            )
        except TimeoutError as error:
            raise Unreachable(
                f"No Temporal server answered at {address} within {CONNECT_SECONDS:g} s. {_REMEDY}"
            ) from error
        except (RuntimeError, ValueError, OSError) as error:
            raise Unreachable(f"Cannot connect to Temporal at {address}: {_plain(error)}. {_REMEDY}") from error


_REMEDY = "Check --address or TEMPORAL_ADDRESS, or start a local one: temporal server start-dev"


def _plain(error: BaseException) -> str:
    """The part of a transport error that a person can act on."""
    text = str(error)
    for sign, sentence in {
        "ConnectionRefused": "connection refused",
        "dns error": "the host name is unknown",
        "invalid target URL": "the address is not host:port",
        "Unauthenticated": "the server wants other credentials",
        "PermissionDenied": "these credentials may not do that",
        "InvalidCertificate": "the server's certificate is not trusted",
        "timed out": "no answer",
        "deadline has elapsed": "no answer",
    }.items():
        if sign in text:
            return sentence
    return text.removeprefix("Failed client connect: ")[:300]
