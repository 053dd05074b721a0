"""What an Application of Argo CD says: which objects are its own, and what of them it leaves alone; pure.

Only what the Application object itself says is used. It does not hold Git's manifests, so which image Git names cannot
be read from it; that an object is `Synced` after a comparison that we asked for can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.resources import Resource

TRACKING = "argocd.argoproj.io/tracking-id"
RESPECT = "RespectIgnoreDifferences=true"

_ROUTES = {
    "HTTPRoute": ("rules",),
    "GRPCRoute": ("rules",),
    "HTTPProxy": ("routes", "tcpproxy"),
    "VirtualService": ("http", "tcp", "tls"),
    "TraefikService": ("weighted",),
    "Service": ("selector",),
}
"""The fields below `spec` of each kind in which routers write what is there."""


class Moved(NamedTuple):
    """An object, and the fields of it that a release moves, as JSON pointers."""

    group: str
    kind: str
    namespace: str
    name: str
    fields: tuple[str, ...]

    @classmethod
    def of(cls, resource: Resource, *fields: str) -> Moved:
        group = resource.kind.api_version.rpartition("/")[0]
        return cls(group, resource.kind.name, resource.namespace, resource.name, fields)


def routed(kind: str, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of an object that a router moves; of a kind that is not known everything may move."""
    return tuple(f"/spec/{name}" for name in _ROUTES.get(kind, ()) if name in spec) or ("/spec",)


def status_of(application: Object, moved: Moved) -> str | None:
    """How the application says this object compares with Git; None when it is not one of its own."""
    for found in (application.get("status") or {}).get("resources") or []:
        if (found.get("group", ""), found["kind"], found.get("namespace", ""), found["name"]) == moved[:4]:
            return str(found.get("status") or "Unknown")
    return None


def tracker(found: Object) -> str:
    """The application that tracks an object by its annotation."""
    annotations = found["metadata"].get("annotations") or {}
    return str(annotations.get(TRACKING, "")).partition(":")[0]


def is_tracker(application: Object, tracked_by: str) -> bool:
    """Whether this is the application of that name; one of another namespace is called `namespace_name`."""
    metadata = application["metadata"]
    return tracked_by in (metadata["name"], f"{metadata['namespace']}_{metadata['name']}")


def automated(application: Object) -> dict[str, Any] | None:
    """The policy of automated syncs, where there are any."""
    policy: dict[str, Any] | None = (application["spec"].get("syncPolicy") or {}).get("automated")
    return None if policy is None or policy.get("enabled") is False else policy


def manager(application: Object, others: Sequence[Object]) -> str:
    """Who writes the application itself, so that it would not stay as we leave it; empty for nobody."""
    for owner in application["metadata"].get("ownerReferences") or []:
        if owner["kind"] == "ApplicationSet":
            return f"ApplicationSet {owner['name']}"
    if name := tracker(application):
        return f"Application {name}"
    metadata = application["metadata"]
    itself = Moved("argoproj.io", "Application", metadata["namespace"], metadata["name"], ())
    return next((f"Application {a['metadata']['name']}" for a in others if status_of(a, itself) is not None), "")


def is_syncing(application: Object) -> bool:
    """Whether Git's state is being applied at this moment, or is about to be."""
    phase = ((application.get("status") or {}).get("operationState") or {}).get("phase")
    return "operation" in application or phase in ("Running", "Terminating")


def uncovered(application: Object, moved: Sequence[Moved]) -> list[Moved]:
    """The fields that a sync would put back; empty when it leaves all of them alone."""
    policy = application["spec"].get("syncPolicy") or {}
    respected = RESPECT in (policy.get("syncOptions") or [])
    left = [(each, [f for f in each.fields if not (respected and _ignores(application, each, f))]) for each in moved]
    return [each._replace(fields=tuple(fields)) for each, fields in left if fields]


def remedy(moved: Sequence[Moved]) -> str:
    """What to write into an application's spec, so that its syncs leave these fields alone."""
    rules = ", ".join(
        f"{{group: {each.group or chr(39) * 2}, kind: {each.kind}, namespace: {each.namespace}, name: {each.name}, "
        f"jsonPointers: [{', '.join(each.fields)}]}}"
        for each in moved
    )
    return f"spec: {{ignoreDifferences: [{rules}], syncPolicy: {{syncOptions: [{RESPECT}]}}}}"


def _ignores(application: Object, moved: Moved, field: str) -> bool:
    for rule in application["spec"].get("ignoreDifferences") or []:
        if not fnmatchcase(moved.group, rule.get("group", "")) or not fnmatchcase(moved.kind, rule.get("kind", "")):
            continue
        if rule.get("namespace", moved.namespace) != moved.namespace or rule.get("name", moved.name) != moved.name:
            continue
        paths: set[tuple[str, ...] | None] = {_path(pointer) for pointer in rule.get("jsonPointers") or []}
        paths |= {_jq(expression) for expression in rule.get("jqPathExpressions") or []}
        if paths & set(_prefixes(field)):
            return True
    return False


def _prefixes(field: str) -> Iterator[tuple[str, ...]]:
    """The field and everything that it is in; an index also as any index."""
    path = _path(field)
    for end in range(1, len(path) + 1):
        yield path[:end]
        yield tuple("*" if part.isdecimal() else part for part in path[:end])


def _path(pointer: str) -> tuple[str, ...]:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


_JQ = re.compile(r'\.?(?:\["([^"]+)"\]|([A-Za-z_][A-Za-z0-9_]*)|\[(\d*)\])\??')


def _jq(expression: str) -> tuple[str, ...] | None:
    """The path of a jq expression of plain steps; None for one that selects, whose meaning is not judged here."""
    parts, at, text = [], 0, expression.strip()
    while at < len(text):
        found = _JQ.match(text, at)
        if found is None or found.end() == at:
            return None
        parts.append(found[1] or found[2] or found[3] or "*")
        at = found.end()
    return tuple(parts)
