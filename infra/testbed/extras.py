"""What can be added to a cluster that is up: Prometheus, and Traefik as a second data plane."""

from pathlib import Path
from typing import Protocol

from infra.testbed.api import Api
from infra.testbed.credentials import Authority
from infra.testbed.errors import BedError
from infra.testbed.layout import Layout
from infra.testbed.prometheus import Prometheus
from infra.testbed.traefik import Traefik


class Extra(Protocol):
    """A daemon with rights of its own; its program has its name."""

    def __init__(self, layout: Layout) -> None: ...

    @property
    def url(self) -> str:
        """Where it answers."""

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""

    def configure(self, api: Api, authority: Authority) -> None:
        """Make its account and write its settings."""

    def command(self, program: Path) -> list[str]:
        """How it is started."""


EXTRAS: dict[str, type[Extra]] = {"prometheus": Prometheus, "traefik": Traefik}


def extra(name: str, layout: Layout) -> Extra:
    """The extra with the name, for one cluster; BedError where it makes no sense."""
    if name not in EXTRAS:
        raise BedError(f"There is no extra {name}. There are: {', '.join(EXTRAS)}.")
    if layout.profile != "full":
        raise BedError(f"{name} needs pods that serve, so a cluster of profile full; {layout.name} is not.")
    return EXTRAS[name](layout)
