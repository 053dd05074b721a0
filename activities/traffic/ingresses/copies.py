"""Ingresses that we make beside the user's: the same class and the same paths, but another backend; pure.

What is copied is on a list: marks of whoever deployed the original must not come along, and neither must what gives the
production host a certificate or a DNS name.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.traffic.ingresses.places import Place
from workflows.model.target import Backend

KNOWN = "/.headgate/stable"
"""The path of a preview that leads to the old version."""
_CLASS = "kubernetes.io/ingress.class"
_BEHAVIOUR = (
    "nginx.ingress.kubernetes.io/",
    "appgw.ingress.kubernetes.io/",
    "traefik.ingress.kubernetes.io/",
    "haproxy.org/",
    "haproxy-ingress.github.io/",
    "projectcontour.io/",
    "konghq.com/",
)
"""Prefixes of what controllers must know to treat requests as they do those of users: rewrites, protocols, probes."""
_OWN = ("nginx.ingress.kubernetes.io/canary", "nginx.ingress.kubernetes.io/server-alias")
"""Prefixes of what would make another Ingress of it, or take the users' host away from theirs."""


def preview(ingress: Object, mine: Sequence[Place], *, host: str, services: Mapping[Backend, str]) -> Object:
    """An Ingress that leads a host of its own to the new version, by the component's paths.

    One rule more, for a path that nobody asks for, leads to the old version, so that a data plane knows both before and
    after a switch. Without it Envoy behind Contour was seen to forget a Service before the rule that led there, and to
    answer 503 meanwhile.
    """
    paths = {(place.path, place.path_type): _path(ingress, place, services["canary"]) for place in mine}
    known = {"path": KNOWN, "pathType": "Exact", "backend": {"service": _service(ingress, mine[0], services["stable"])}}
    rules = [{"host": host, "http": {"paths": listed}} for listed in ([*paths.values()], [known])]
    spec = {**_class(ingress), **_tls(ingress, mine, host), "rules": rules}
    return {"metadata": {"annotations": _annotations(ingress)}, "spec": spec}


def beside(ingress: Object, mine: Sequence[Place], *, service: str, metadata: Object) -> Object:
    """An Ingress that leads the same hosts and paths to another Service."""
    rules: dict[str, list[Any]] = {}
    spec: Object = _class(ingress)
    for place in mine:
        if place.path_type:
            rules.setdefault(place.host, []).append(_path(ingress, place, service))
        else:
            spec["defaultBackend"] = {"service": _service(ingress, place, service)}
    listed = [{**({"host": host} if host else {}), "http": {"paths": paths}} for host, paths in rules.items()]
    return {"metadata": metadata, "spec": {**spec, **({"rules": listed} if listed else {})}}


def class_annotation(ingress: Object) -> dict[str, str]:
    """The class as it was written before there was a field for it."""
    given = (ingress["metadata"].get("annotations") or {}).get(_CLASS)
    return {_CLASS: given} if given else {}


def _annotations(ingress: Object) -> dict[str, str]:
    given = ingress["metadata"].get("annotations") or {}
    kept = {key: given[key] for key in given if key.startswith(_BEHAVIOUR) and not key.startswith(_OWN)}
    return kept | class_annotation(ingress)


def _class(ingress: Object) -> Object:
    return {key: ingress["spec"][key] for key in ("ingressClassName",) if key in ingress["spec"]}


def _tls(ingress: Object, mine: Sequence[Place], host: str) -> Object:
    """The certificate that is named for the host, else the one that users of the component get."""
    entries = ingress["spec"].get("tls") or []
    ours = {place.host for place in mine}
    covering = [entry for entry in entries if any(_covers(name, host) for name in entry.get("hosts") or ())]
    theirs = [entry for entry in entries if not entry.get("hosts") or ours & set(entry["hosts"])]
    found = next(iter([*covering, *theirs]), None)
    return {"tls": [{**found, "hosts": [host]}]} if found is not None else {}


def _covers(name: str, host: str) -> bool:
    """Whether a certificate for a name is one for a host; a star stands for one label."""
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def _path(ingress: Object, place: Place, service: str) -> Any:
    asked = (
        {"path": place.path, "pathType": place.path_type} if place.path_type else {"path": "/", "pathType": "Prefix"}
    )
    return {
        **{key: value for key, value in asked.items() if value},
        "backend": {"service": _service(ingress, place, service)},
    }


def _service(ingress: Object, place: Place, service: str) -> Any:
    found: Any = ingress
    for part in place.backend:
        found = found[part]
    return copy.deepcopy(found) | {"name": service}
