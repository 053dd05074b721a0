"""Settings of the machines that run local processes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from activities.settings import SettingsModel
from workflows.model.shapes import Name


class Program(SettingsModel):
    """A command that releases may run, and how to know that it works."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """The program and its first arguments; a release adds its own after them."""
    directory: Path | None = None
    """Where it starts; the service's own directory when not given."""
    env: dict[str, str] = {}
    """Environment that a release cannot change."""
    ready: str = "/ready"
    """Answers 2xx while the instance can take requests."""
    health: str = "/health"
    """Answers 2xx while the instance is alive."""
    metrics: str = "/metrics"
    """Prometheus text."""
    stop_grace: float = 10
    """Seconds from SIGTERM to SIGKILL."""


class LocalCluster(SettingsModel):
    """A directory that holds the state of every service of one cluster alias."""

    root: Path
    """Where it is; workers that share it must see the same files and processes."""


class ProcessSettings(SettingsModel):
    """What the `process` workload provider may do."""

    clusters: dict[Name, LocalCluster] = {}
    """Directories by cluster alias."""
    programs: dict[Name, Program] = {}
    """The only programs that releases may run, by name."""
    host: str = "127.0.0.1"
    """The address that instances listen on."""
    port_range: tuple[int, int] = (20000, 32000)
    """Ports given to instances; outside the range that the system uses for outgoing connections."""
    limit: int | None = None
    """Instances that one namespace may run at a time, those being drained included."""
    crash_limit: int = 6
    """Crashes in a row, without one ready instance, after which waiting for a template is given up."""
    propagation: float = 0.3
    """Seconds until a published endpoint is taken to be in use everywhere: no old instance leaves before."""
    quiet: float = 0.5
    """Seconds that an instance keeps running after its endpoint was taken away, even when it looks idle."""
