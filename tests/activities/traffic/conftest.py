from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities.clusters.kubernetes.kinds import (
    DESTINATION_RULE,
    GRPC_ROUTE,
    HTTP_PROXY,
    HTTP_ROUTE,
    INGRESS,
    TRAEFIK_SERVICE,
    VIRTUAL_SERVICE,
)
from activities.traffic import registry
from activities.traffic.ingresses import nginx, switch
from infra.testbed import crds
from infra.testbed.api import Api
from tests.activities.traffic.kubernetes import ROUTES, KubernetesWorld, accepted, valid
from tests.activities.world import Run, World, a_template, routed, world
from workflows.errors import NotFound, Rejected
from workflows.model.target import Claim, Target

__all__ = ["routed", "world"]

GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"}


@pytest.fixture(scope="session")
def routing_kubeconfig(kubeconfig: Path) -> Path:
    """The test bed's API server with every kind of route, and nobody who serves them."""
    crds.install(Api(kubeconfig), ("gateway-api", "contour", "istio", "traefik"))
    return kubeconfig


async def gateway_api(made: KubernetesWorld) -> None:
    """A route of three rules, one of them for somebody else, and a Gateway that takes everything."""
    users = {"backendRefs": [{"name": "users", "port": 80}], "matches": [{"path": {"value": "/users"}}]}
    ours = {"backendRefs": [{"name": "trip", "port": 80}]}
    shared = {
        "backendRefs": [{"name": "trip", "port": 80, "weight": 30}, {"name": "other", "port": 80, "weight": 70}],
        "matches": [{"path": {"value": "/shared"}}],
    }
    route = {
        "metadata": {"name": "shop"},
        "spec": {"parentRefs": [GATEWAY], "hostnames": ["shop.example.com"], "rules": [users, ours, shared]},
    }
    await made.open((HTTP_ROUTE, route))
    made.answer(HTTP_ROUTE, accepted)


async def grpc(made: KubernetesWorld) -> None:
    """A route of three rules, one of them for a method of somebody else."""
    users = {"backendRefs": [{"name": "users", "port": 80}], "matches": [{"method": {"service": "shop.Users"}}]}
    ours = {"backendRefs": [{"name": "trip", "port": 80}]}
    shared = {
        "backendRefs": [{"name": "trip", "port": 80, "weight": 30}, {"name": "other", "port": 80, "weight": 70}],
        "matches": [{"method": {"service": "shop.Trips", "method": "Find"}, "headers": [{"name": "a", "value": "b"}]}],
    }
    route = {
        "metadata": {"name": "shop"},
        "spec": {"parentRefs": [GATEWAY], "hostnames": ["shop.example.com"], "rules": [users, ours, shared]},
    }
    await made.open((GRPC_ROUTE, route))
    made.answer(GRPC_ROUTE, accepted)


async def contour(made: KubernetesWorld) -> None:
    """A proxy of three routes, one of them for somebody else and one with a mirror."""
    trip, users = {"name": "trip", "port": 80}, {"name": "users", "port": 80}
    routes = [
        {"conditions": [{"prefix": "/users"}], "services": [users]},
        {"services": [trip, {**users, "mirror": True}], "timeoutPolicy": {"response": "5s"}},
        {"conditions": [{"prefix": "/shared"}], "services": [{**trip, "weight": 30}, {**users, "weight": 70}]},
    ]
    spec = {"virtualhost": {"fqdn": made.host}, "routes": routes}
    await made.open((HTTP_PROXY, {"metadata": {"name": "shop"}, "spec": spec}))
    made.answer(HTTP_PROXY, valid)


async def istio(made: KubernetesWorld) -> None:
    """A VirtualService with a short host, a full one, a mirror, and somebody else's route; and a DestinationRule."""
    trip = {"destination": {"host": "trip", "port": {"number": 80}}}
    full = {"destination": {"host": f"trip.{made.place}.svc.cluster.local"}, "weight": 30}
    users = {"destination": {"host": "users"}}
    http = [
        {"name": "users", "match": [{"uri": {"prefix": "/users"}}], "route": [users]},
        {"name": "shared", "match": [{"uri": {"prefix": "/shared"}}], "route": [full, {**users, "weight": 70}]},
        {"name": "trips", "route": [trip], "mirror": {"host": "users"}, "timeout": "5s"},
    ]
    spec = {"hosts": [made.host], "gateways": ["mesh", "shop"], "http": http}
    beta = {"name": "beta", "labels": {"track": "beta"}}
    rule = {"host": "trip", "trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}}, "subsets": [beta]}
    await made.open(
        (VIRTUAL_SERVICE, {"metadata": {"name": "shop"}, "spec": spec}),
        (DESTINATION_RULE, {"metadata": {"name": "shop"}, "spec": rule}),
    )


async def istio_subsets(made: KubernetesWorld) -> None:
    """One Service for both versions, and real pods, by whose labels they are told apart."""
    await istio(made)
    await made.own()


async def replicas(made: KubernetesWorld) -> None:
    """One Service for both versions, and real pods, whose number is the weight."""
    await made.open()
    await made.own()


async def traefik(made: KubernetesWorld) -> None:
    services = [{"name": "trip", "port": 80, "weight": 30}, {"name": "other", "port": 80, "weight": 70}]
    spec = {"weighted": {"services": services, "sticky": {"cookie": {"name": "shop"}}}}
    await made.open((TRAEFIK_SERVICE, {"metadata": {"name": "shop"}, "spec": spec}))


async def ingress(made: KubernetesWorld) -> None:
    """An Ingress with rules for others beside ours, with TLS, and with what its controller and its owner need."""
    trip, users = (
        {"service": {"name": "trip", "port": {"name": "http"}}},
        {"service": {"name": "users", "port": {"number": 80}}},
    )
    paths = [
        {"path": "/users", "pathType": "Prefix", "backend": users},
        {"path": "/api/trips", "pathType": "Prefix", "backend": trip},
        {"path": "/trips", "pathType": "Exact", "backend": trip},
    ]
    other = {"host": "users.example.com", "http": {"paths": [{"pathType": "Prefix", "path": "/", "backend": users}]}}
    annotations = {
        "appgw.ingress.kubernetes.io/backend-path-prefix": "/",
        "nginx.ingress.kubernetes.io/affinity": "cookie",
        "nginx.ingress.kubernetes.io/proxy-body-size": "8m",
        "cert-manager.io/cluster-issuer": "letsencrypt",
        "argocd.argoproj.io/tracking-id": "shop",
    }
    spec = {
        "ingressClassName": "azure-application-gateway",
        "tls": [{"hosts": [made.host], "secretName": "shop-tls"}],
        "rules": [other, {"host": made.host, "http": {"paths": paths}}],
    }
    await made.open((INGRESS, {"metadata": {"name": "shop", "annotations": annotations}, "spec": spec}))


SETUPS: dict[str, Any] = {
    "gatewayApi": gateway_api,
    "grpc": grpc,
    "contour": contour,
    "istio": istio,
    "traefik": traefik,
}
"""Routers that take weights."""
INGRESSES: dict[str, Any] = {"ingress": ingress, "nginx": ingress}
"""Routers that write Ingresses."""
SHARED: dict[str, Any] = {"istioSubsets": istio_subsets, "replicas": replicas}
"""Those without a Service for each version."""
FORMS: dict[str, Any] = SETUPS | INGRESSES | SHARED | {"service": KubernetesWorld.open}
"""All of them."""
ROUTERS = ["envoy", *(pytest.param(name, marks=pytest.mark.cluster) for name in FORMS)]


@pytest.fixture
async def cluster_world(
    router: str, routing_kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KubernetesWorld]:
    """A world whose routes are in a cluster, without a data plane to wait for."""
    shapes = [replace(shape, lead=0) for shape in registry._SHAPES]
    monkeypatch.setattr(registry, "_SHAPES", shapes)
    for module in (switch, nginx):
        monkeypatch.setattr(module, "LEAD", 0)
    made = KubernetesWorld(tmp_path, routing_kubeconfig, router)
    try:
        await FORMS.get(router, KubernetesWorld.open)(made)
        yield made
    finally:
        await made.finish()


@pytest.fixture
def shop(cluster_world: KubernetesWorld) -> KubernetesWorld:
    """The same under the name that tests of what is in clusters call it by."""
    return cluster_world


@pytest.fixture
def target(shop: KubernetesWorld) -> Target:
    return shop.target()


@pytest.fixture
def run(shop: KubernetesWorld) -> Run:
    return shop.run()


@pytest.fixture
async def claim(shop: KubernetesWorld, run: Run, target: Target) -> Claim:
    """One pod of the old version, and one of the new one."""
    claim = await shop.capture(run, target)
    await shop.deploy(run, target, claim, slot="stable", template=a_template("v1"), replicas=1)
    await shop.deploy(run, target, claim, slot="canary", template=a_template("v2"), replicas=1)
    return claim


@pytest.fixture(params=ROUTERS)
def router(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def any_world(router: str, request: pytest.FixtureRequest) -> World:
    """A world for each router that takes weights."""
    if router != "envoy":
        made: World = request.getfixturevalue("cluster_world")
        return made
    found: World = request.getfixturevalue("world")
    found.start_envoy()
    return found


@pytest.fixture
def strangers(any_world: World) -> list[tuple[Target, type[Exception], str]]:
    """Targets whose route is not there or leads to somebody else, and how they are refused."""
    target = any_world.target()
    if not isinstance(any_world, KubernetesWorld):
        unknown = target.model_copy(update={"traffic": {"kind": "envoy", "route": "x"}})
        other = target.model_copy(update={"workload": {"kind": "process", "service": "other"}})
        return [(unknown, NotFound, "they have trip"), (other, Rejected, "serves local/test/trip")]
    field, name = next(iter(ROUTES.get(any_world.router, {"service": ""}).items()))
    unknown = target.model_copy(update={"traffic": target.traffic | {field: "unknown"}})
    other = target.model_copy(update={"traffic": target.traffic | {"service": "nobody"}})
    strangers: list[tuple[Target, type[Exception], str]] = [(unknown, NotFound, "/unknown does not exist")]
    if name:  # Without a route nothing but the Service can be somebody else's.
        strangers.append((other, Rejected, f"/{name} has no rule that leads to Service nobody"))
    return strangers
