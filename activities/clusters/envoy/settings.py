"""Settings of an Envoy that reads its configuration from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from activities.settings import SettingsModel
from workflows.model.shapes import Name


class Route(SettingsModel):
    """One port of the Envoy, and the service behind it."""

    port: Annotated[int, Field(ge=1, le=65535)]
    """Where users come in."""
    cluster: Name
    """The cluster alias of the service."""
    namespace: Name
    """The namespace of the service."""
    service: Name
    """The service whose releases this route carries."""
    health: str = "/ready"
    """Envoy asks every endpoint for this path, and passes by those that do not answer 200."""
    timeout: float = 30
    """Seconds that one request may take."""
    retry_after: int = 30
    """Seconds that the maintenance answer asks users to wait."""


class EnvoySettings(SettingsModel):
    """The Envoy that the `envoy` router writes for."""

    directory: Path
    """Holds the files that Envoy watches and the router's state; workers and Envoy share it."""
    admin: Annotated[str, Field(pattern=r"^http://[^/]+$")] = "http://127.0.0.1:9901"
    """The admin endpoint, where a shift is verified."""
    listen: str = "127.0.0.1"
    """The address that routes listen on."""
    routes: dict[Name, Route] = {}
    """Routes by name."""
    verify_for: float = 3
    """Seconds that a shift waits for its verification before it answers `notYet`."""
