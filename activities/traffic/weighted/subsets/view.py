"""A VirtualService whose destinations are subsets of one host, seen as if each subset were a Service; pure.

The canary's subset looks like the Service `NAME-canary`, and the stable one like the host itself. A destination with
any other subset, and a route of the user's own that leads to the canary's subset alone, are nobody's business here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import canary_name, target_label
from activities.traffic.weighted.hosts import service_in
from activities.traffic.weighted.shapes import Rule
from activities.traffic.weighted.shares import Ref
from workflows.model.target import Target

SECTIONS = ("http", "tcp", "tls")


@dataclass(frozen=True)
class View:
    """Translates between the two forms."""

    namespace: str
    service: str
    stable: str
    """The name of the subset of the stable pods."""
    canary: str
    """The name of the subset of the canary's."""
    mark: str
    """The name of the routes that are ours alone."""

    def plain(self, route: Object) -> Object:
        """Every subset of ours as a Service."""
        return _translated(route, self._plain)

    def raw(self, route: Object, *, is_pinned: bool) -> Object:
        """The object as it is written; pinned, the stable destinations name their subset."""
        return _translated(route, lambda rule: self._raw(rule, is_pinned=is_pinned))

    def stables(self, route: Object) -> list[bool]:
        """For each destination that leads to the stable pods, whether it names their subset."""
        destinations = (entry["destination"] for rule in _rules(route) for entry in rule.get("route") or ())
        subsets = [found.get("subset") for found in destinations if self._is_host(found, self.service)]
        return [bool(subset) for subset in subsets if subset in (None, self.stable)]

    def _plain(self, rule: Rule) -> Rule:
        entries = [entry["destination"] for entry in rule.get("route") or ()]
        is_ours = rule.get("name") == self.mark or any(self._is_stable(found) for found in entries)
        for found in [*entries, *_copies(rule)]:
            if self._is_stable(found) and found in entries:
                found.pop("subset", None)
            elif is_ours and self._is_host(found, self.service) and found.get("subset") == self.canary:
                del found["subset"]
                _rename(found, canary_name(self.service))
        return {key: value for key, value in rule.items() if (key, value) != ("name", self.mark)}

    def _raw(self, rule: Rule, *, is_pinned: bool) -> Rule:
        entries = [entry["destination"] for entry in rule.get("route") or ()]
        ours = [found for found in entries if self._is_host(found, canary_name(self.service))]
        copies = [found for found in _copies(rule) if self._is_host(found, canary_name(self.service))]
        for found in [*ours, *copies]:
            _rename(found, self.service)
            found["subset"] = self.canary
        for found in entries:
            if is_pinned and self._is_host(found, self.service) and not found.get("subset"):
                found["subset"] = self.stable
        return {**rule, "name": self.mark} if entries and len(ours) == len(entries) else rule

    def _is_stable(self, destination: Rule) -> bool:
        return self._is_host(destination, self.service) and destination.get("subset") in (None, self.stable)

    def _is_host(self, destination: Rule, service: str) -> bool:
        return service_in(destination["host"], self.namespace) == service


def view_of(target: Target) -> View:
    """The subsets that a component's document names, or ours."""
    named = target.traffic.get("subsets") or {}
    mark = f"headgate-{target_label(target.key)}"
    return View(
        target.namespace,
        target.shared_service,
        str(named.get("stable", f"{mark}-stable")),
        str(named.get("canary", f"{mark}-canary")),
        mark,
    )


def with_subsets(ref: Callable[[Rule, str], Ref]) -> Callable[[Rule, str], Ref]:
    """How entries are told apart in the plain form: one that still names a subset is somebody else's."""

    def seen(body: Rule, namespace: str) -> Ref:
        found, subset = ref(body, namespace), body["destination"].get("subset")
        return found._replace(service="", rest=f"{found.service}/{subset}:{found.rest}") if subset else found

    return seen


def _copies(rule: Rule) -> list[Rule]:
    return [entry["destination"] for entry in rule.get("mirrors") or ()]


def _rename(destination: Rule, service: str) -> None:
    _, dot, place = destination["host"].partition(".")
    destination["host"] = f"{service}{dot}{place}"


def _rules(route: Object) -> Iterator[Rule]:
    return (rule for section in SECTIONS for rule in route["spec"].get(section) or ())


def _translated(route: Object, change: Any) -> Object:
    spec = deepcopy(route["spec"])
    return {
        **route,
        "spec": spec | {name: [change(rule) for rule in spec[name]] for name in SECTIONS if spec.get(name)},
    }
