"""Four services behind one object, released at once with four different ends: none touches another's part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import pytest

from activities.clusters.kubernetes.labels import target_label
from activities.clusters.kubernetes.resources import PREFIX, annotation
from activities.workloads.secret import record_in
from tests.cluster import Namespace
from tests.e2e.land import Handle, Land, at, until
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
