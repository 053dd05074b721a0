"""How each kind of route sends copies of requests to one more backend; pure."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Rule = dict[str, Any]


@dataclass(frozen=True)
class Mirror:
    """One way of writing it: entries of a list of the rule."""

    field: str
    """The list, which may hold other things too."""
    entry: Callable[[Rule, float], Rule]
    """What copies so many percent to the backend of an entry without a weight."""
    name: Callable[[Rule], str]
    """The host or the Service that an entry copies to; empty for an entry that is no copy."""
    rivals: tuple[str, ...] = ()
    """Fields of a rule that cannot stand beside a copy."""
    is_alone: bool = False
    """Whether a rule can have one copy only."""

    def ours(self, rule: Rule, is_ours: Callable[[str], bool]) -> list[Rule]:
        """The copies to us."""
        return [entry for entry in rule.get(self.field) or () if is_ours(self.name(entry))]

    def without(self, rule: Rule, is_ours: Callable[[str], bool]) -> Rule:
        """The rule without copies to us, and without the list where nothing else is in it."""
        there = rule.get(self.field) or []
        left = [entry for entry in there if not is_ours(self.name(entry))]
        if len(left) == len(there):
            return rule
        return {**rule, self.field: left} if left else {k: v for k, v in rule.items() if k != self.field}

    def obstacle(self, rule: Rule) -> str:
        """What of a rule leaves no room for a copy, or nothing."""
        if found := [field for field in self.rivals if rule.get(field)]:
            return found[0]
        others = [entry for entry in rule.get(self.field) or () if self.name(entry)]
        return "a copy to somebody else" if self.is_alone and others else ""

    def beside(self, rule: Rule, body: Rule, percent: float) -> Rule:
        """The rule with one more copy."""
        return {**copy.deepcopy(rule), self.field: [*(rule.get(self.field) or ()), self.copying(body, percent)]}

    def copying(self, body: Rule, percent: float) -> Rule:
        """What copies so many percent to the backend of an entry."""
        return self.entry({key: value for key, value in body.items() if key != "weight"}, percent)


def _filter(backend: Rule, percent: float) -> Rule:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": backend, "percent": int(percent)}}


FILTER = Mirror(
    field="filters",
    entry=_filter,
    name=lambda entry: str((entry.get("requestMirror") or {}).get("backendRef", {}).get("name", "")),
)
"""Gateway API: a filter of the rule."""

MIRRORS = Mirror(
    field="mirrors",
    entry=lambda backend, percent: {"destination": backend["destination"], "percentage": {"value": percent}},
    name=lambda entry: str(entry["destination"]["host"]),
    rivals=("mirror",),
)
"""Istio: a list of destinations."""

SERVICE = Mirror(
    field="services",
    entry=lambda backend, percent: {**backend, "mirror": True, "weight": int(percent)},
    name=lambda entry: str(entry["name"]) if entry.get("mirror") else "",
    is_alone=True,
)
"""Contour: one of the Services, whose weight is a percentage then."""
