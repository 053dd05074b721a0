"""Ingresses in memory, and the target whose rules are in them."""

from __future__ import annotations

from typing import Any

from activities.clusters.kubernetes.api import Object
from workflows.model.target import Backend, Target

SERVICES: dict[Backend, str] = {"stable": "trip", "canary": "trip-canary", "maintenance": "trip-maintenance"}


def target(**traffic: Any) -> Target:
    return Target(
        component="trip",
        cluster="local",
        namespace="test",
        workload={"kind": "kubernetes", "deployment": "trip"},
        traffic={"kind": "ingress", "ingress": "shop", "service": "trip", **traffic},
    )


def backend(name: str, port: str | int = 80) -> Any:
    return {"service": {"name": name, "port": {"name" if isinstance(port, str) else "number": port}}}


def path(at: str, to: str, kind: str = "Prefix") -> Any:
    return {"path": at, "pathType": kind, "backend": backend(to)}


def rule(*paths: Any, host: str = "shop.example.com") -> Any:
    return {**({"host": host} if host else {}), "http": {"paths": list(paths)}}


def ingress(*rules: Any, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    metadata = {"name": "shop", "namespace": "test", "annotations": {"owner": "shop", **(annotations or {})}}
    return {"metadata": metadata, "spec": {"ingressClassName": "azure", "rules": list(rules), **spec}}


SHOP = ingress(
    rule(path("/", "users")),
    rule(path("/api/trips", "trip"), path("/users", "users"), path("/trips", "trip", "Exact")),
    rule(path("/api/trips", "trip"), host="*.example.org"),
    {"host": "bare.example.com"},
    defaultBackend=backend("trip", "http"),
)
