"""What a router must know of a kind of object that holds weighted lists of backends; one table entry per kind.

Everything here is pure: it looks at objects and makes new ones.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import Kind
from activities.clusters.kubernetes.patch import Path
from activities.traffic.weighted.mirrors import Mirror
from activities.traffic.weighted.shares import Effective, Ref
from workflows.model.target import Target

Rule = dict[str, Any]
Headers = Sequence[dict[str, str]]
"""Matches as the document writes them: `header` and `exact`."""


def every_one(weights: Sequence[int | None]) -> list[int]:
    """An entry without a weight has the weight 1."""
    return [1 if weight is None else weight for weight in weights]


def named(body: Rule, service: str) -> Rule:
    """An entry for another Service where `name` says which."""
    return copy.deepcopy(body) | {"name": service}


@dataclass(frozen=True)
class Shape:
    """How one kind writes weighted lists, headers and hosts, and how it says that it follows."""

    provider: str
    """The kind of traffic in documents."""
    field: str
    """The field of the document that names the object."""
    kind: Kind
    lists: tuple[tuple[Path, str], ...]
    """Where the rules are, and which field of a rule is its list of backends; a rule may also stand alone."""
    ref: Callable[[Rule, str], Ref]
    """An entry of a list, as seen from a namespace."""
    renamed: Callable[[Rule, str], Rule]
    """The same entry for another Service."""
    effective: Effective
    trouble: Callable[[Object], str] | None = None
    """Why the object is not in use as it is written, or nothing; None where nobody ever says."""
    fronts: Callable[[Rule, Headers], list[Rule]] | None = None
    """Copies of a rule for requests with one of these headers only."""
    companion: Callable[[Object, str, list[Rule]], Object] | None = None
    """An object for a host of its own with these rules, in the place of the given one."""
    host: Path = ()
    """Where such an object says its host."""
    mirror: Mirror | None = None
    """How copies of requests are sent to one more backend."""
    asked: str = ""
    """The field of a rule that says which requests it is for."""
    policy: Kind | None = None
    """The kind whose objects say how requests for a host are balanced, where that is not the route."""
    lead: float = 0.3
    """Seconds by which a data plane learns of a backend before requests may go there, once its controller answered."""
    limit: int = 1_000_000
    """The largest weight."""

    def name(self, target: Target) -> str:
        """The object that a component's document names; empty when it names one of another shape."""
        return str(target.traffic.get(self.field) or "")

    def identity(self, path: Path, rule: Rule) -> str:
        """What tells a rule from others of its object wherever it moves: its name, or which requests it is for."""
        text = json.dumps([path[:-1], rule.get("name") or rule.get(self.asked)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def rules(self, route: Object) -> Iterator[tuple[Path, str, Rule]]:
        """Every rule of an object that has a list of backends: where it is, its list's field, and itself."""
        for path, field in self.lists:
            found: Any = route
            for part in path:
                found = found.get(part) if isinstance(found, dict) else None
            if isinstance(found, list):
                yield from (((*path, i), field, rule) for i, rule in enumerate(found) if rule.get(field))
            elif isinstance(found, dict) and found.get(field):
                yield path, field, found
