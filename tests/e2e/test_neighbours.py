"""Four services behind one object, released at once with four different ends: none touches another's part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple

import pytest

from activities.clusters.kubernetes.labels import target_label
from activities.clusters.kubernetes.resources import PREFIX, annotation
from activities.workloads.secret import record_in
from tests.cluster import Namespace
from tests.e2e.land import Handle, Land, at, until
from tests.e2e.shops import FAULTS, SWITCH, WAYS
from tests.e2e.site import PARENT, Site
from tests.e2e.visitors import Visitors
from tests.temporal import end_of
from workflows.model.target import Claim

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(400)]

ENDS = {"ai": "Succeeded", "location": "Succeeded", "trip": "RolledBack", "user": "Aborted"}
"""What becomes of the release of each service."""
GOOD, BAD, ABORTED = ("ai", "location"), "trip", "user"
MOVED = (*GOOD, ABORTED)
"""Whose users a release has moved when a person aborts one of them."""


# What every release must leave, whatever leads users to the services.


def key_of(namespace: Namespace, name: str) -> str:
    """The lock of a service's Deployment."""
    return f"bed/{namespace.name}/deployment/{name}"


def claims(found: Any) -> dict[str, Claim]:
    """What the fences of an object hold, by annotation."""
    notes = found["metadata"].get("annotations") or {}
    return {name: Claim.model_validate_json(text) for name, text in notes.items() if name.startswith(PREFIX)}


def check_fences(namespace: Namespace, path: str) -> None:
    """Each service has one claim on all that is its own or shared, made by its own Rollout for its own end."""
    shared = claims(namespace.get(path))
    assert set(shared) == {annotation(key_of(namespace, name)) for name in ENDS}
    for name, end in ENDS.items():
        key = key_of(namespace, name)
        claim, secret = shared[annotation(key)], namespace.get(f"v1/secrets/headgate-deployment-{name}")
        assert (claim.workflow_id, claim.purpose) == (f"rollout/{key}", "release" if end == "Succeeded" else "undo")
        assert claims(namespace.get(f"apps/v1/deployments/{name}")) == claims(secret) == {annotation(key): claim}
        assert record_in(secret).mark is None


def check_leftovers(namespace: Namespace, *plurals: str) -> None:
    paths = [f"{plural}/{name}-canary" for plural in ("apps/v1/deployments", "v1/services", *plurals) for name in ENDS]
    assert [path for path in paths if namespace.get(path)] == []


# With pods, users and a data plane.

HEADER = "x-shop"
OLD = {"ai": "1.0.0", "location": "1.1.0", "trip": "1.0.0", "user": "1.0.0"}
NEW = {"ai": "1.1.0", "location": "1.0.0", "trip": "1.1.1-errors", "user": "1.1.0"}
CANARY: dict[str, Any] = {
    "kind": "canary",
    "stages": [{"weight": 20, "observe": "4s"}, {"weight": 50, "observe": "10s"}],
    "watch": "4s",
}
HELD: dict[str, Any] = {**CANARY, "stages": [{"weight": 20, "observe": "4s"}, {"weight": 50, "observe": "10m"}]}


def http_route(site: Site) -> tuple[str, str, dict[str, Any]]:
    matches = {name: [{"headers": [{"name": HEADER, "value": name}]}] for name in ENDS}
    rules = [{"matches": matches[name], "backendRefs": [{"name": name, "port": 80}]} for name in ENDS]
    spec = {"parentRefs": [PARENT], "hostnames": [site.host], "rules": rules}
    return "gateway.networking.k8s.io/v1", "HTTPRoute", spec


def http_proxy(site: Site) -> tuple[str, str, dict[str, Any]]:
    conditions = {name: [{"header": {"name": HEADER, "exact": name}}] for name in ENDS}
    routes = [{"conditions": conditions[name], "services": [{"name": name, "port": 80}]} for name in ENDS]
    return "projectcontour.io/v1", "HTTPProxy", {"virtualhost": {"fqdn": site.host}, "routes": routes}


def ingress(site: Site) -> tuple[str, str, dict[str, Any]]:
    backends = {name: {"service": {"name": name, "port": {"name": "web"}}} for name in ENDS}
    paths = {name: [{"path": "/", "pathType": "Prefix", "backend": backends[name]}] for name in ENDS}
    rules = [{"host": site.host_of(name), "http": {"paths": paths[name]}} for name in ENDS]
    return "networking.k8s.io/v1", "Ingress", {"rules": rules}


ONE = {"gatewayApi": http_route, "contour": http_proxy, "ingress": ingress}
"""One object for all services: its version, kind and spec."""


@asynccontextmanager
async def a_mall(site: Site, router: str) -> AsyncIterator[dict[str, Visitors]]:
    """All services behind one object, and users of each whom its old version has served."""
    for name, version in OLD.items():
        site.workload(name, replicas=2, version=version)
    version, kind, spec = ONE[router](site)
    site.namespace.apply(version, kind, "mall", spec=spec)
    async with AsyncExitStack() as stack:
        users = {}
        for name in ENDS:
            await site.until_ready(name)
            host, headers = (site.host_of(name), {}) if router == "ingress" else (site.host, {HEADER: name})
            made = Visitors(site.bed.gateway, host, headers=headers, count=2, pause=0.02)
            users[name] = await stack.enter_async_context(made)
            await made.until((OLD[name], 200))
        yield users


def document(site: Site, router: str, name: str) -> dict[str, Any]:
    """A release of one service, which stays where a person aborts it if it is the one."""
    traffic: dict[str, Any] = {field: value.format("mall") for field, value in WAYS[router].traffic.items()}
    traffic |= {"kind": router, "service": name}
    strategy = HELD if name == ABORTED else CANARY
    if router == "ingress":
        traffic["preview"] = {"host": f"next.{site.host_of(name)}"}
        strategy = SWITCH | ({"watch": "10m"} if name == ABORTED else {})
    return site.release(NEW[name], strategy, name, traffic=traffic)


@pytest.mark.parametrize("router", ONE)
async def test_four_services_behind_one_object_are_released_at_once_and_users_meet_only_their_own(
    site: Site, router: str
) -> None:
    path = f"{WAYS[router].path}/mall"
    async with a_mall(site, router) as users:
        before, deployments = site.namespace.get(path)["spec"], specs(site)
        handles = {name: await site.start(document(site, router, name)) for name in ENDS}
        await asyncio.gather(*(until(handles[name], is_moved(router)) for name in MOVED))
        await site.abort(ABORTED)
        ends = dict(zip(handles, await asyncio.gather(*map(end_of, handles.values())), strict=True))
        assert {name: outcome for name, (outcome, _) in ends.items()} == ENDS, ends
        after = {name: NEW[name] if end == "Succeeded" else OLD[name] for name, end in ENDS.items()}
        for name, version in after.items():
            assert set(await users[name].next(100)) == {(version, 200)}, name
    for name, visitors in users.items():
        print(f"{name}: {visitors.answers.total():,} requests, {ends[name]}")
    assert {name: visitors.lost for name, visitors in users.items() if visitors.lost and name != BAD} == {}
    assert {status for _, status in users[BAD].lost} <= FAULTS
    assert {name: found for name, visitors in users.items() if (found := strangers(name, visitors))} == {}
    assert site.namespace.get(path)["spec"] == before
    assert {name: specs(site)[name] for name in (BAD, ABORTED)} == {name: deployments[name] for name in (BAD, ABORTED)}
    images = {name: spec["template"]["spec"]["containers"][0]["image"] for name, spec in specs(site).items()}
    assert images == {name: f"headgate.test/podinfo:{version}" for name, version in after.items()}
    check_leftovers(site.namespace, WAYS[router].path)
    check_fences(site.namespace, path)


def specs(site: Site) -> dict[str, Any]:
    return {name: site.namespace.get(f"apps/v1/deployments/{name}")["spec"] for name in ENDS}


def is_moved(router: str) -> Callable[[dict[str, Any]], bool]:
    return at(50) if router != "ingress" else lambda status: bool(status["phase"] == "Watching")


def strangers(name: str, visitors: Visitors) -> set[str]:
    """Pods of other services that answered users of this one."""
    return {pod for pod in visitors.pods if pod and not pod.startswith(f"{name}-")}


# With Istio's objects, which no data plane follows here.

ISTIO = "networking.istio.io/v1"
MESH = f"{ISTIO}/virtualservices/mesh"
VERSIONS = {"ai": "v1", "location": "v1", "trip": "v1-crash", "user": "v1"}
STAGES = [{"weight": 10, "observe": "2s"}, {"weight": 50, "observe": "10s"}]
MATCH = [{"header": "canary", "exact": "true"}]


class Form(NamedTuple):
    """How versions are told apart."""

    traffic: dict[str, str]
    """What a document says beside the VirtualService and the Service."""
    versions: Callable[[Namespace, str], set[tuple[str, str]]]
    """The host and the subset of every version of a service."""


def subsets(namespace: Namespace, name: str) -> set[tuple[str, str]]:
    mark = f"headgate-{target_label(key_of(namespace, name))}"
    return {(name, ""), (name, f"{mark}-stable"), (name, f"{mark}-canary")}


def hosts(namespace: Namespace, name: str) -> set[tuple[str, str]]:
    del namespace
    return {(name, ""), (f"{name}-canary", "")}


FORMS = {"subsets": Form({"destinationRule": "{}"}, subsets), "hosts": Form({}, hosts)}


def mesh(namespace: Namespace) -> None:
    """All services behind one VirtualService; the path says whose a route is."""
    for name in ENDS:
        namespace.deployment(name, replicas=2)
        service = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
        namespace.apply("v1", "Service", name, spec=service)
        namespace.apply(ISTIO, "DestinationRule", name, spec={"host": name})
    http = [
        {"name": name, "match": [{"uri": {"prefix": f"/{name}"}}], "route": [{"destination": {"host": name}}]}
        for name in ENDS
    ]
    namespace.apply(ISTIO, "VirtualService", "mesh", spec={"hosts": ["mesh"], "http": http})


@pytest.mark.parametrize("form", FORMS)
async def test_four_services_on_one_virtual_service_never_lead_anywhere_but_to_their_own_versions(
    land: Land, form: str
) -> None:
    mesh(land.namespace)
    paths = {MESH, *(f"{ISTIO}/destinationrules/{name}" for name in ENDS), *(f"v1/services/{name}" for name in ENDS)}
    before = {path: land.spec(path) for path in paths}
    async with land.worker(), watched(land.namespace, MESH) as seen:
        handles = {name: await release(land, form, name) for name in ENDS}
        await asyncio.gather(*(until(handles[name], at(50)) for name in MOVED))
        await land.abort(handles[ABORTED])
        ends = dict(zip(handles, await asyncio.gather(*map(end_of, handles.values())), strict=True))
    assert {name: outcome for name, (outcome, _) in ends.items()} == ENDS, ends
    print(f"{len(seen)} states of the VirtualService")
    assert [found for state in seen for found in faults(land.namespace, form, state)] == []
    assert max(map(divided, seen)) == len(MOVED)
    assert {path: land.spec(path) for path in paths} == before
    for name, end in ENDS.items():
        (container,) = land.spec(f"apps/v1/deployments/{name}")["template"]["spec"]["containers"]
        assert container["image"] == f"registry.test/{name}:{VERSIONS[name] if end == 'Succeeded' else 'v0'}"
    check_leftovers(land.namespace, f"{ISTIO}/virtualservices")
    check_fences(land.namespace, MESH)


async def release(land: Land, form: str, name: str) -> Handle:
    """Stays at half if it is the one that a person aborts."""
    more = {field: value.format(name) for field, value in FORMS[form].traffic.items()}
    traffic = {"kind": "istio", "virtualService": "mesh", "service": name, "match": MATCH, **more}
    stages = [*STAGES[:-1], {"weight": 50, "observe": "10m"}] if name == ABORTED else STAGES
    strategy = {"kind": "canary", "stages": stages, "watch": "2s"}
    return await land.release(VERSIONS[name], strategy, name, traffic=traffic)


@asynccontextmanager
async def watched(namespace: Namespace, path: str) -> AsyncIterator[list[Any]]:
    """The states of an object meanwhile, looked at as often as it goes."""
    seen: list[Any] = []

    async def look() -> None:
        while True:
            found = await asyncio.to_thread(namespace.get, path)
            if not seen or found["metadata"]["resourceVersion"] != seen[-1]["metadata"]["resourceVersion"]:
                seen.append(found)
            await asyncio.sleep(0.01)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


def faults(namespace: Namespace, form: str, state: Any) -> list[str]:
    """What is not as it should be at any moment."""
    http = state["spec"]["http"]
    found = [f"routes {http}"] if [route["name"] for route in http if route.get("name") in ENDS] != list(ENDS) else []
    for route in http:
        (name,) = {match["uri"]["prefix"].strip("/") for match in route["match"]}
        versions = {(one["destination"]["host"], one["destination"].get("subset", "")) for one in route["route"]}
        if not versions <= FORMS[form].versions(namespace, name):
            found.append(f"{name} leads to {versions}")
        if (total := sum(one.get("weight", 100) for one in route["route"])) != 100:
            found.append(f"{name} has {total} % in {route}")
    owners = {annotation(key_of(namespace, name)): f"rollout/{key_of(namespace, name)}" for name in ENDS}
    taken = {key: claim for key, claim in claims(state).items() if claim.workflow_id != owners.get(key)}
    return [*found, *(f"{key} was taken by {claim}" for key, claim in taken.items())]


def divided(state: Any) -> int:
    """How many services divide their users at a moment."""
    routes = (route["route"] for route in state["spec"]["http"])
    return sum(len(route) > 1 and all(one.get("weight") for one in route) for route in routes)
