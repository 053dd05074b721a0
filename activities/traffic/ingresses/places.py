"""Which backends of an Ingress belong to a component: where each one is, and who asks for it; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.patch import Path
from workflows.model.target import Target

_DEFAULT: Path = ("spec", "defaultBackend")


class Place(NamedTuple):
    """One backend of an Ingress that is a Service."""

    rule: Path
    """The rule that it stands in, or the default backend: what a patch tests, as places in a list may move."""
    backend: Path
    service: str
    host: str = ""
    path: str = ""
    path_type: str = ""

    @property
    def label(self) -> str:
        """Who asks for it, unique in an Ingress."""
        if self.rule == _DEFAULT:
            return "defaultBackend"
        return f"{self.host or '*'}{self.path or '/'} ({self.path_type})"


@dataclass(frozen=True)
class Choice:
    """The backends of an Ingress that are a component's: those that lead to its Services, or to any where it is None.

    An Ingress knows no weight, so whoever switches it renames the Service and leaves the rest, its port included.
    """

    services: Collection[str] | None
    host: str = ""
    path: str = ""

    def of(self, ingress: Object) -> list[Place]:
        """The component's backends, wherever they lead now."""
        return [place for place in _places(ingress) if self._is_meant(place)]

    def __str__(self) -> str:
        given = (("host", self.host), ("path", self.path))
        return "".join(f" for {name} {value}" for name, value in given if value)

    def _is_meant(self, place: Place) -> bool:
        is_ours = self.services is None or place.service in self.services
        return is_ours and self.host in ("", place.host) and self.path in ("", place.path)


def leading(places: Iterable[Place]) -> dict[str, str]:
    """The Service that whoever asks for a host and a path gets."""
    return {place.label: place.service for place in places}


def leads(ingress: Object) -> dict[str, str]:
    """The same for all that an Ingress has."""
    return leading(Choice(None).of(ingress))


def choice(target: Target, services: Collection[str]) -> Choice:
    """What a component's document chooses."""
    host, path = (str(target.traffic.get(name) or "") for name in ("host", "path"))
    return Choice(services, host, path)


def _places(ingress: Object) -> Iterator[Place]:
    spec = ingress["spec"]
    if service := spec.get("defaultBackend", {}).get("service"):
        yield Place(_DEFAULT, (*_DEFAULT, "service"), service["name"])
    for i, rule in enumerate(spec.get("rules") or ()):
        at: Path = ("spec", "rules", i)
        for j, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            if service := path["backend"].get("service"):
                backend = (*at, "http", "paths", j, "backend", "service")
                asked = (rule.get("host", ""), path.get("path", ""), path.get("pathType", ""))
                yield Place(at, backend, service["name"], *asked)
