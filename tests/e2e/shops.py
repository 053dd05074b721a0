"""Shops of the matrix: one Deployment with its Service each, and one way by which users come to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True)
class Way:
    """How one router is set up, and how a document names it."""

    traffic: dict[str, Any]
    path: str
    """Of the objects whose spec a release must give back, without their name."""
    body: Callable[[Site, str], tuple[str, str, dict[str, Any]]]
    """Version, kind and spec of the object that leads users to the Service."""
    component: dict[str, Any] = field(default_factory=dict)
    """What else a component's document says for it; None for what it must not say."""


def _http_route(site: Site, name: str) -> tuple[str, str, dict[str, Any]]:
    rules = [{"backendRefs": [{"name": name, "port": 80}]}]
    spec = {"parentRefs": [PARENT], "hostnames": [site.host_of(name)], "rules": rules}
    return "gateway.networking.k8s.io/v1", "HTTPRoute", spec


def _http_proxy(site: Site, name: str) -> tuple[str, str, dict[str, Any]]:
    routes = [{"services": [{"name": name, "port": 80}]}]
    return "projectcontour.io/v1", "HTTPProxy", {"virtualhost": {"fqdn": site.host_of(name)}, "routes": routes}


def _ingress(site: Site, name: str) -> tuple[str, str, dict[str, Any]]:
    backend = {"service": {"name": name, "port": {"name": "web"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec = {"rules": [{"host": site.host_of(name), "http": {"paths": paths}}]}
    return "networking.k8s.io/v1", "Ingress", spec


WAYS = {
    "gatewayApi": Way({"httpRoute": "{}"}, "gateway.networking.k8s.io/v1/httproutes", _http_route),
    "contour": Way({"httpProxy": "{}"}, "projectcontour.io/v1/httpproxies", _http_proxy),
    "ingress": Way({"ingress": "{}"}, "networking.k8s.io/v1/ingresses", _ingress),
    "replicas": Way({"tolerance": "20%"}, "v1/services", _http_route, {"checks": None, "drain": None}),
    "service": Way({}, "v1/services", _http_route),
}
"""A Service is reached through a route that no release touches."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gateway-canary": ("gatewayApi", CANARY),
    "gateway-gradual": ("gatewayApi", GRADUAL),
    "gateway-switch": ("gatewayApi", SWITCH),
    "gateway-rolling": ("gatewayApi", ROLLING),
    "contour-canary": ("contour", CANARY),
    "contour-switch": ("contour", SWITCH),
    "ingress-switch": ("ingress", SWITCH),
    "ingress-rolling": ("ingress", ROLLING),
    "replicas-canary": ("replicas", {**CANARY, "standby": "none"}),
    "service-switch": ("service", SWITCH),
    "service-rolling": ("service", ROLLING),
}
"""Every router that has a data plane here, with every strategy that it can carry out without an interruption."""


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
        self.site.workload(self.name, replicas=2)
        version, kind, spec = self.way.body(self.site, self.name)
        self.site.namespace.apply(version, kind, self.name, spec=spec)

    def release(self, version: str, *, watch: str = "") -> dict[str, Any]:
        """A document that releases a version here."""
        strategy = {**self.strategy, **({"watch": watch} if watch else {})}
        traffic: dict[str, Any] = {key: value.format(self.name) for key, value in self.way.traffic.items()}
        traffic |= {"kind": self.router, "service": self.name}
        if (self.router, strategy["kind"]) == ("ingress", "blueGreen"):  # It keeps both versions known to Envoy.
            traffic["preview"] = {"host": f"next.{self.site.host_of(self.name)}"}
        return self.site.release(version, strategy, self.name, traffic=traffic, **self.way.component)

    def specs(self) -> dict[str, Any]:
        """What a release may change, and an undo must give back field by field."""
        paths = {f"apps/v1/deployments/{self.name}", f"{self.way.path}/{self.name}", f"v1/services/{self.name}"}
        return {path: self.site.namespace.get(path)["spec"] for path in sorted(paths)}

    def leftovers(self) -> list[str]:
        """What a release made for itself and must have taken away."""
        made = {
            "apps/v1/deployments": ["-canary"],
            "v1/services": ["-canary", "-maintenance"],
            "networking.k8s.io/v1/ingresses": ["-canary"],
        }
        paths = [f"{path}/{self.name}{end}" for path, ends in made.items() for end in ends]
        return [path for path in paths if self.site.namespace.get(path)]


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


def shops(site: Site) -> list[Shop]:
    """One of each case; nothing is made yet."""
    return [
        Shop(name, router, strategy, site, Visitors(site.bed.gateway, site.host_of(name), count=2, pause=0.02))
        for name, (router, strategy) in CASES.items()
    ]
