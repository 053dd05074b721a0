"""Four services in one route object, released at the same time: none touches another's rules or fence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import HTTP_ROUTE, INGRESS, SERVICE, VIRTUAL_SERVICE, Kind
from activities.traffic import registry
from activities.traffic.ingresses import switch
from tests.activities.traffic.conftest import GATEWAY
from tests.activities.traffic.kubernetes import KubernetesWorld, accepted
from tests.activities.traffic.test_kubernetes import content
from tests.activities.world import Run, a_template
from workflows.errors import Fenced
from workflows.model.target import Target

pytestmark = pytest.mark.cluster

NAMES = ("ai", "location", "trip", "user")


async def http_route(world: KubernetesWorld) -> None:
    rules = [
        {"matches": [{"path": {"value": f"/{name}"}}], "backendRefs": [{"name": name, "port": 80}]} for name in NAMES
    ]
    spec = {"parentRefs": [GATEWAY], "hostnames": ["shop.example.com"], "rules": rules}
    await world.open((HTTP_ROUTE, {"metadata": {"name": "shop"}, "spec": spec}))
    world.answer(HTTP_ROUTE, accepted)


async def virtual_service(world: KubernetesWorld) -> None:
    http = [
        {"name": name, "match": [{"uri": {"prefix": f"/{name}"}}], "route": [{"destination": {"host": name}}]}
        for name in NAMES
    ]
    await world.open((VIRTUAL_SERVICE, {"metadata": {"name": "shop"}, "spec": {"hosts": [world.host], "http": http}}))


async def ingress(world: KubernetesWorld) -> None:
    paths = [
        {"path": f"/{name}", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}}
        for name in NAMES
    ]
    await world.open((INGRESS, {"metadata": {"name": "shop"}, "spec": {"rules": [{"http": {"paths": paths}}]}}))


WEIGHTED: dict[str, tuple[Kind, Any]] = {
    "gatewayApi": (HTTP_ROUTE, http_route),
    "istio": (VIRTUAL_SERVICE, virtual_service),
}
KINDS = WEIGHTED | {"ingress": (INGRESS, ingress)}


@pytest.fixture(params=WEIGHTED)
def router(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def shop(
    router: str, routing_kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KubernetesWorld]:
    monkeypatch.setattr(registry, "_SHAPES", [replace(shape, lead=0) for shape in registry._SHAPES])
    monkeypatch.setattr(switch, "LEAD", 0)
    made = KubernetesWorld(tmp_path, routing_kubeconfig, router)
    try:
        await KINDS[router][1](made)
        for name in NAMES[:2] + NAMES[3:]:
            body = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}
            await made.api.create(SERVICE, made.place, body)
        yield made
    finally:
        await made.finish()


def target(shop: KubernetesWorld, name: str) -> Target:
    found = shop.target(service=name)
    return found.model_copy(update={"component": name, "workload": {"kind": "kubernetes", "deployment": name}})


async def route(shop: KubernetesWorld) -> Object:
    return await shop.api.get(KINDS[shop.router][0], shop.place, "shop")


def rules(found: Object) -> dict[str, dict[str, int]]:
    """The weights of each service's rule, by what it leads to."""
    lists = [
        rule.get("backendRefs") or rule.get("route") for rule in found["spec"].get("rules") or found["spec"]["http"]
    ]
    return {
        name: {entry.get("name") or entry["destination"]["host"]: entry.get("weight", 0) for entry in entries}
        for name, entries in zip(NAMES, lists, strict=True)
    }


async def release(shop: KubernetesWorld, name: str, shares: list[float]) -> None:
    """Everything that a release writes, with its own run."""
    mine, run = target(shop, name), Run(f"rollout/{name}", f"run-{name}")
    claim = await shop.capture(run, mine)
    for slot, version in (("stable", "v1"), ("canary", "v2")):
        ready = await shop.deploy(run, mine, claim, slot=slot, template=a_template(version), replicas=1)  # type: ignore[arg-type]
        assert ready.ready, ready.message
    for share in shares:
        shifted = await shop.shift(run, mine, claim, {"stable": 100 - share, "canary": share})
        assert shifted.verification == shop.verified, shifted.message


async def test_four_services_on_one_object_released_at_once_touch_nothing_of_each_other(shop: KubernetesWorld) -> None:
    before = content(await route(shop))
    shares = {"ai": 5, "location": 25, "trip": 50, "user": 75}
    await asyncio.gather(*(release(shop, name, [10, 33.33, share]) for name, share in shares.items()))
    found = await route(shop)
    for name, share in shares.items():
        assert rules(found)[name] == {name: 100 - share, f"{name}-canary": share}
    fences = [name for name in found["metadata"]["annotations"] if name.startswith("fence.headgate.dev/")]
    assert len(fences) == len(NAMES)

    undone = target(shop, "trip")
    undo = await shop.capture_undo(Run("rollout/trip", "run-trip"), undone)
    await asyncio.gather(
        shop.shift(Run("rollout/trip", "run-trip"), undone, undo, {"stable": 100}),
        *(release_further(shop, name) for name in ("ai", "location", "user")),
    )
    assert rules(await route(shop))["trip"] == {"trip": rules({"spec": before["spec"]})["trip"]["trip"]}
    for name in ("ai", "location", "user"):
        assert rules(await route(shop))[name] == {name: 20, f"{name}-canary": 80}
        run = Run(f"rollout/{name}", f"run-{name}")
        claim = await shop.capture_undo(run, target(shop, name))
        await shop.shift(run, target(shop, name), claim, {"stable": 100})
    assert content(await route(shop)) == before


def backends(found: Object) -> dict[str, str]:
    """Where each path of an Ingress leads."""
    paths = found["spec"]["rules"][0]["http"]["paths"]
    return {path["path"].removeprefix("/"): path["backend"]["service"]["name"] for path in paths}


@pytest.mark.parametrize("router", ["ingress"])
async def test_four_services_on_one_ingress_are_switched_at_once_and_each_goes_back_alone(
    shop: KubernetesWorld,
) -> None:
    before = content(await route(shop))
    await asyncio.gather(*(release(shop, name, [100]) for name in NAMES))
    found = await route(shop)
    assert backends(found) == {name: f"{name}-canary" for name in NAMES}
    fences = [name for name in found["metadata"]["annotations"] if name.startswith("fence.headgate.dev/")]
    assert len(fences) == len(NAMES)
    for done, name in enumerate(NAMES, start=1):
        run, mine = Run(f"rollout/{name}", f"run-{name}"), target(shop, name)
        claim = await shop.capture_undo(run, mine)
        await shop.shift(run, mine, claim, {"stable": 100})
        back = NAMES[:done]
        assert backends(await route(shop)) == {one: one if one in back else f"{one}-canary" for one in NAMES}
    assert content(await route(shop)) == before


async def release_further(shop: KubernetesWorld, name: str) -> None:
    """One more shift under the claim that the release has."""
    mine = target(shop, name)
    claims = [await item.claim(mine.key) for item in shop.routers.get(shop.kinds[1]).objects(mine)[:1]]
    assert claims[0]
    await shop.shift(Run(f"rollout/{name}", f"run-{name}"), mine, claims[0], {"stable": 20, "canary": 80})


@pytest.mark.parametrize("router", KINDS)
async def test_the_claim_of_one_service_does_not_let_it_write_for_another(shop: KubernetesWorld) -> None:
    run = Run("rollout/ai", "run-ai")
    claim = await shop.capture(run, target(shop, "ai"))
    with pytest.raises(Fenced):
        await shop.shift(run, target(shop, "user"), claim, {"stable": 100})
