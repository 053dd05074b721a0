"""Shops of the matrix: one Deployment with its Service each, and one way by which users come to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from infra.testbed.bed import Bed
from tests.e2e.site import PARENT, Site
from tests.e2e.visitors import Visitors

CANARY: dict[str, Any] = {
    "kind": "canary",
    "stages": [{"weight": 20, "observe": "6s"}, {"weight": 50, "observe": "6s"}],
    "watch": "6s",
}
GRADUAL: dict[str, Any] = {
    "kind": "blueGreen",
    "stages": [{"weight": 30, "observe": "6s"}, {"weight": 100, "observe": "6s"}],
    "watch": "6s",
}
SWITCH: dict[str, Any] = {"kind": "blueGreen", "watch": "10s"}
ROLLING: dict[str, Any] = {"kind": "rolling", "watch": "10s"}
RECREATE: dict[str, Any] = {"kind": "recreate", "watch": "10s"}


FAULTS = {400, 409, 500}
"""What podinfo answers at random where it shall fail; anything else that is no success is lost on the way."""


Objects = list[tuple[str, str, dict[str, Any]]]


@dataclass(frozen=True)
class Way:
    """How one router is set up, and how a document names it."""

    traffic: dict[str, Any]
    path: str
    """Of the objects whose spec a release must give back, without their name."""
    route: Callable[[Site, str], Objects]
    """Version, kind and spec of each object that leads users to the Service."""
    component: dict[str, Any] = field(default_factory=dict)
    """What else a component's document says for it; None for what it must not say."""
    gateway: Callable[[Bed], str | None] = lambda bed: bed.gateway
    """Where users come in; None where the test bed has no such data plane."""
    leave_seconds: int = 2
    """What a pod must go on serving for, because the data plane hears so late that it goes."""


def _http_route(site: Site, name: str) -> Objects:
    rules = [{"backendRefs": [{"name": name, "port": 80}]}]
    spec = {"parentRefs": [PARENT], "hostnames": [site.host_of(name)], "rules": rules}
    return [("gateway.networking.k8s.io/v1", "HTTPRoute", spec)]


def _grpc_route(site: Site, name: str) -> Objects:
    """Without matches it takes every request, and the users here speak plain HTTP."""
    return [(version, "GRPCRoute", spec) for version, _, spec in _http_route(site, name)]


def _http_proxy(site: Site, name: str) -> Objects:
    routes = [{"services": [{"name": name, "port": 80}]}]
    spec = {"virtualhost": {"fqdn": site.host_of(name)}, "routes": routes}
    return [("projectcontour.io/v1", "HTTPProxy", spec)]


def _ingress(site: Site, name: str) -> Objects:
    backend = {"service": {"name": name, "port": {"name": "web"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec = {"rules": [{"host": site.host_of(name), "http": {"paths": paths}}]}
    return [("networking.k8s.io/v1", "Ingress", spec)]


def _traefik(site: Site, name: str) -> Objects:
    services = [{"kind": "TraefikService", "name": name}]
    routes = [{"kind": "Rule", "match": f"Host(`{site.host_of(name)}`)", "services": services}]
    return [
        ("traefik.io/v1alpha1", "TraefikService", {"weighted": {"services": [{"name": name, "port": 80}]}}),
        ("traefik.io/v1alpha1", "IngressRoute", {"routes": routes}),
    ]


WAYS = {
    "gatewayApi": Way({"httpRoute": "{}"}, "gateway.networking.k8s.io/v1/httproutes", _http_route),
    "grpc": Way({"kind": "gatewayApi", "grpcRoute": "{}"}, "gateway.networking.k8s.io/v1/grpcroutes", _grpc_route),
    "contour": Way({"httpProxy": "{}"}, "projectcontour.io/v1/httpproxies", _http_proxy),
    "ingress": Way({"ingress": "{}"}, "networking.k8s.io/v1/ingresses", _ingress),
    "traefik": Way(
        {"traefikService": "{}"},
        "traefik.io/v1alpha1/traefikservices",
        _traefik,
        gateway=lambda bed: bed.traefik,
        leave_seconds=5,
    ),
    "replicas": Way({"tolerance": "20%"}, "v1/services", _http_route, {"checks": None, "drain": None}),
    "service": Way({}, "v1/services", _http_route),
}
"""A Service is reached through a route that no release touches."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gateway-canary": ("gatewayApi", CANARY),
    "gateway-gradual": ("gatewayApi", GRADUAL),
    "gateway-switch": ("gatewayApi", SWITCH),
    "gateway-rolling": ("gatewayApi", ROLLING),
    "gateway-recreate": ("gatewayApi", RECREATE),
    "grpc-canary": ("grpc", CANARY),
    "contour-canary": ("contour", CANARY),
    "contour-gradual": ("contour", GRADUAL),
    "contour-switch": ("contour", SWITCH),
    "contour-rolling": ("contour", ROLLING),
    "contour-recreate": ("contour", RECREATE),
    "ingress-switch": ("ingress", SWITCH),
    "ingress-rolling": ("ingress", ROLLING),
    "ingress-recreate": ("ingress", RECREATE),
    "traefik-canary": ("traefik", CANARY),
    "traefik-gradual": ("traefik", GRADUAL),
    "traefik-switch": ("traefik", SWITCH),
    "traefik-rolling": ("traefik", ROLLING),
    "traefik-recreate": ("traefik", RECREATE),
    "replicas-canary": ("replicas", {**CANARY, "standby": "none"}),
    "replicas-rolling": ("replicas", ROLLING),
    "service-switch": ("service", SWITCH),
    "service-rolling": ("service", ROLLING),
    "service-recreate": ("service", RECREATE),
}
"""Every router that `make bed` gives a data plane, with every strategy that it can carry out."""


@dataclass
class Shop:
    """One case on a site, with its users."""

    name: str
    router: str
    strategy: dict[str, Any]
    site: Site
    visitors: Visitors
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def way(self) -> Way:
        return WAYS[self.router]

    def open(self) -> None:
        """Makes its objects."""
        self.site.workload(self.name, replicas=2, leave_seconds=self.way.leave_seconds)
        for version, kind, spec in self.way.route(self.site, self.name):
            self.site.namespace.apply(version, kind, self.name, spec=spec)

    def release(self, version: str, *, watch: str = "") -> dict[str, Any]:
        """A document that releases a version here."""
        strategy = {**self.strategy, **({"watch": watch} if watch else {})}
        named = {key: value.format(self.name) for key, value in self.way.traffic.items()}
        traffic: dict[str, Any] = {"kind": self.router, "service": self.name, **named}
        if (self.router, strategy["kind"]) == ("ingress", "blueGreen"):  # It keeps both versions known to Envoy.
            traffic["preview"] = {"host": f"next.{self.site.host_of(self.name)}"}
        return self.site.release(version, strategy, self.name, traffic=traffic, **self.way.component)

    @property
    def is_in_place(self) -> bool:
        """Whether the Deployment itself gets the new version at once."""
        return self.strategy["kind"] in ("rolling", "recreate")

    @property
    def has_weights(self) -> bool:
        """Whether a part of the users is observed on the new version."""
        return any(stage["weight"] < 100 for stage in self.strategy.get("stages", []))

    @property
    def lost(self) -> dict[tuple[str, int], int]:
        """Answers that users must not get; maintenance is what they must see while nothing may run."""
        shown = {503} if self.strategy["kind"] == "recreate" else set[int]()
        return {key: count for key, count in self.visitors.lost.items() if key[1] not in shown}

    async def led(self) -> float:
        """When the newest release first did what can lead users to its version; before that none may meet it."""
        if self.is_in_place or self.router == "replicas":
            return await self.site.first(self.name, "workloads.deploy", lambda _: True)
        return await self.site.first(self.name, "traffic.shift", lambda asked: asked["weights"].get("canary", 0) > 0)

    def objects(self) -> dict[str, Any]:
        """What a release may change, and an undo must give back field by field."""
        paths = {f"apps/v1/deployments/{self.name}", f"{self.way.path}/{self.name}", f"v1/services/{self.name}"}
        return {path: _lasting(self.site.namespace.get(path)) for path in sorted(paths)}

    def leftovers(self) -> list[str]:
        """What a release made for itself and must have taken away."""
        made = {
            "apps/v1/deployments": ["-canary"],
            "v1/services": ["-canary", "-maintenance"],
            "networking.k8s.io/v1/ingresses": ["-canary"],
        }
        paths = [f"{path}/{self.name}{end}" for path, ends in made.items() for end in ends]
        return [path for path in paths if self.site.namespace.get(path)]


def _lasting(found: dict[str, Any]) -> dict[str, Any]:
    """An object without what moves by itself, and without who holds it."""
    moves = ("resourceVersion", "generation", "managedFields", "annotations")
    metadata = {key: value for key, value in found["metadata"].items() if key not in moves}
    notes = found["metadata"].get("annotations") or {}
    metadata["annotations"] = {
        key: value
        for key, value in notes.items()
        if "headgate.dev/" not in key and key != "deployment.kubernetes.io/revision"
    }
    return {"metadata": metadata, "spec": found["spec"]}


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """Every field that is another, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [line for key in keys for line in differences(before.get(key), now.get(key), f"{path}/{key}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for index, (old, new) in pairs for line in differences(old, new, f"{path}/{index}")]
    return [] if before == now else [f"{path}: {before} became {now}"]


@asynccontextmanager
async def opened(some: list[Shop]) -> AsyncIterator[list[Shop]]:
    """Shops with users, all of whom the first version has served."""
    async with AsyncExitStack() as stack:
        for shop in some:
            await asyncio.to_thread(shop.open)
        for shop in some:
            await shop.site.until_ready(shop.name)
            await stack.enter_async_context(shop.visitors)
            await shop.visitors.until(("1.0.0", 200))
        yield some


def shops(site: Site, routers: Collection[str] = WAYS.keys()) -> list[Shop]:
    """One of each case of these routers that has a data plane here; nothing is made yet."""
    return [
        Shop(name, router, strategy, site, Visitors(url, site.host_of(name), count=2, pause=0.04))
        for name, (router, strategy) in CASES.items()
        if router in routers and (url := WAYS[router].gateway(site.bed))
    ]
