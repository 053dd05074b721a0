"""The object of a local service: what it shall run, what runs, who may write, and the mark, in one file.

::

    <root>/<namespace>/<service>/state.json            this object
                                 state.lock            its lock
                                 endpoints/<slot>.json what Envoy reads
                                 logs/<token>.log      an instance's output
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel

from activities.clusters.fence import FencedState
from activities.clusters.files import StateFile
from activities.clusters.kept import newest
from workflows.errors import Rejected
from workflows.model.shapes import NAME_PATTERN
from workflows.model.target import Mark, Promoted, Slot, Template


class Wish(BaseModel):
    """What a slot shall have; written by releases only."""

    template: Template
    replicas: int = 0
    max_surge: int = 1
    max_unavailable: int = 0
    drain_seconds: float = 30


class Crashes(BaseModel):
    """Instances of one template that ended by themselves, in a row."""

    count: int = 0
    at: float = 0
    """Unix time of the last one."""
    message: str = ""
    """How the last one ended, with its last words."""


class Instance(BaseModel):
    """One process, from the intent to start it until its end was seen."""

    token: str
    """In the process's environment, so that it can be found again whoever started it."""
    slot: Slot
    digest: str
    version: str
    program: str
    port: int
    created_at: float
    pid: int | None = None
    """None until the start was recorded."""
    born: int = 0
    """The kernel's start time of the process; with the pid it names one process for ever."""
    ready_since: float | None = None
    """When it was first published; None while it is not in the endpoints."""
    misses: int = 0
    """Readiness answers missed in a row."""
    draining_since: float | None = None
    """When its endpoint was taken away for good."""
    drain_seconds: float = 0
    """How long open connections may keep it."""
    idle_since: float | None = None
    """Since when it has no connection, while draining."""
    stopping_since: float | None = None
    """When it was asked to stop."""

    @property
    def is_draining(self) -> bool:
        return self.draining_since is not None

    @property
    def is_published(self) -> bool:
        """Whether routers may send requests to it."""
        return self.ready_since is not None and not self.is_draining


_MOMENTS = ("created_at", "ready_since", "draining_since", "idle_since", "stopping_since")


class ServiceState(FencedState):
    """One service in one namespace."""

    mark: Mark | None = None
    kept: list[Promoted] = []
    wishes: dict[Slot, Wish] = {}
    instances: dict[str, Instance] = {}
    """By token."""
    crashes: dict[str, Crashes] = {}
    """By slot and template digest, see `crash_key`."""

    def of(self, slot: Slot) -> list[Instance]:
        """A slot's instances, the oldest first."""
        return sorted((i for i in self.instances.values() if i.slot == slot), key=lambda i: (i.created_at, i.token))

    def bound_times(self, now: float) -> None:
        """Takes no moment for later than now: after the clock was set back, nothing waits for it to come again."""
        for instance in self.instances.values():
            for name in _MOMENTS:
                if (moment := getattr(instance, name)) is not None and moment > now:
                    setattr(instance, name, now)
        for crashes in self.crashes.values():
            crashes.at = min(crashes.at, now)

    def settle(self, promoted: Promoted | None) -> None:
        """Takes the mark away and keeps the version; what is settled already stays as it is."""
        if self.mark and promoted:
            self.kept = newest([*self.kept, promoted])
        self.mark = None


def crash_key(slot: Slot, digest: str) -> str:
    """Where the crashes of a template in a slot are counted."""
    return f"{slot}/{digest}"


class Service:
    """Where one local service keeps everything."""

    def __init__(self, root: Path, namespace: str, name: str) -> None:
        for part in (namespace, name):
            if not re.match(NAME_PATTERN, part):
                raise Rejected(f"{part!r} cannot name a namespace or service")
        self.root = root
        self.namespace = namespace
        self.name = name
        self.directory = root / namespace / name
        self.file = StateFile(self.directory / "state.json", ServiceState)

    @property
    def label(self) -> str:
        return f"service {self.namespace}/{self.name}"

    def endpoints(self, slot: Slot) -> Path:
        """The file in which Envoy finds a slot's endpoints."""
        return self.directory / "endpoints" / f"{slot}.json"

    def log(self, token: str) -> Path:
        return self.directory / "logs" / f"{token}.log"

    def neighbours(self) -> Iterator[Service]:
        """The other services of the namespace."""
        yield from (other for other in services_in([self.root], self.namespace) if other.name != self.name)


def services_in(roots: Iterable[Path], namespace: str = "*") -> Iterator[Service]:
    """Every service that has a state file under the roots."""
    for root in roots:
        for path in sorted(root.glob(f"{namespace}/*/state.json")):
            yield Service(root, path.parent.parent.name, path.parent.name)
