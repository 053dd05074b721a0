"""Whole releases where no data plane is here: Istio's subsets, DaemonSets, and workloads that KEDA scales."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.land import Land, at, until
from tests.temporal import end_of

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(300)]

ISTIO = "networking.istio.io/v1"
ROUTED = (f"{ISTIO}/virtualservices/trip", f"{ISTIO}/destinationrules/trip", "v1/services/trip")
TRIP = "apps/v1/deployments/trip"
CANARY: dict[str, Any] = {
    "kind": "canary",
    "stages": [{"weight": 10, "observe": "2s"}, {"weight": 50, "observe": "2s"}],
    "watch": "2s",
}
SUBSETS: dict[str, Any] = {
    "kind": "istio",
    "virtualService": "trip",
    "destinationRule": "trip",
    "service": "trip",
    "match": [{"header": "canary", "exact": "true"}],
}
ROLLING: dict[str, Any] = {"kind": "rolling", "watch": "2s", "timeout": "10s"}


def mesh(land: Land) -> None:
    """One Service and what a mesh makes of it."""
    land.namespace.deployment(replicas=3)
    service = {"selector": {"app": "trip"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    land.namespace.apply("v1", "Service", "trip", spec=service)
    http = [
        {"name": "users", "match": [{"uri": {"prefix": "/users"}}], "route": [{"destination": {"host": "users"}}]},
        {"name": "trip", "route": [{"destination": {"host": "trip"}}], "timeout": "5s"},
    ]
    land.namespace.apply(ISTIO, "VirtualService", "trip", spec={"hosts": ["trip"], "http": http})
    rule = {"host": "trip", "trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}}}
    land.namespace.apply(ISTIO, "DestinationRule", "trip", spec=rule)


def shares(land: Land) -> list[list[tuple[str, int]]]:
    """What leads to the component, by subset and weight, in the order of the routes."""
    http = land.spec(ROUTED[0])["http"]
    routes = [route["route"] for route in http if route["route"][0]["destination"]["host"] == "trip"]
    return [[(one["destination"].get("subset", ""), one.get("weight", 100)) for one in route] for route in routes]


async def test_a_release_through_subsets_leaves_nothing_but_the_new_version(land: Land) -> None:
    mesh(land)
    await land.until_available(TRIP)
    before = [land.spec(path) for path in ROUTED]
    async with land.worker():
        handle = await land.release("v1", CANARY, traffic=SUBSETS)
        await until(handle, at(50))
        aside, (stable, canary) = shares(land)  # The header's route stands before the one for everybody.
        assert [weight for _, weight in aside] == [100]
        assert (stable[1], canary[1]) == (50, 50)
        assert aside[0][0] == canary[0]
        names = {subset["name"] for subset in land.spec(ROUTED[1])["subsets"]}
        assert names == {stable[0], canary[0]}
        assert land.spec(ROUTED[0])["http"][0] == before[0]["http"][0]
        assert await end_of(handle) == ("Succeeded", "v1 takes all traffic")
    assert [land.spec(path) for path in ROUTED] == before
    assert land.spec(TRIP)["template"]["spec"]["containers"][0]["image"] == "registry.test/trip:v1"
    assert land.namespace.get(f"{TRIP}-canary") is None


@pytest.mark.parametrize("version", ["v2-crash", "v2"], ids=["never comes up", "aborted at half"])
async def test_a_release_through_subsets_that_goes_back_leaves_nothing(land: Land, version: str) -> None:
    mesh(land)
    await land.until_available(TRIP)
    before = [land.spec(path) for path in (*ROUTED, TRIP)]
    stages = [{"weight": 50, "observe": "10m"}]
    async with land.worker():
        handle = await land.release(version, {**CANARY, "stages": stages}, traffic=SUBSETS)
        if version == "v2":
            await until(handle, at(50))
            await land.abort(handle)
        outcome, message = await end_of(handle)
        assert outcome == ("Aborted" if version == "v2" else "RolledBack"), message
    assert [land.spec(path) for path in (*ROUTED, TRIP)] == before
    assert land.namespace.get(f"{TRIP}-canary") is None


async def test_a_daemonset_is_replaced_in_place_and_restored_from_a_version_that_never_comes_up(land: Land) -> None:
    path, workload = "apps/v1/daemonsets/trip", {"kind": "kubernetes", "daemonSet": "trip"}
    land.namespace.workload("DaemonSet")
    await land.until_available(path, 2, field="numberAvailable")
    async with land.worker():
        good = await land.release("v1", ROLLING, workload=workload)
        assert await end_of(good) == ("Succeeded", "v1 takes all traffic")
        served = land.spec(path)
        assert served["template"]["spec"]["containers"][0]["image"] == "registry.test/trip:v1"
        outcome, message = await end_of(await land.release("v2-unready", ROLLING, workload=workload))
    assert (outcome, "v2-unready" in message) == ("RolledBack", True), message
    assert land.spec(path) == served
    await land.until_available(path, 2, field="numberAvailable")


SCALED = "keda.sh/v1alpha1/scaledobjects/trip"


async def test_what_keda_scales_keeps_its_size_through_a_release_and_is_keda_s_again(land: Land) -> None:
    land.namespace.deployment(replicas=3)
    trigger = {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 6 * * *", "end": "0 8 * * *"}}
    spec = {"scaleTargetRef": {"name": "trip"}, "minReplicaCount": 1, "maxReplicaCount": 5, "triggers": [trigger]}
    land.namespace.apply("keda.sh/v1alpha1", "ScaledObject", "trip", spec=spec)
    await land.until_available(TRIP)
    before = land.spec(SCALED)
    async with land.worker():
        handle = await land.release("v1", {**ROLLING, "watch": "10m"})
        await until(handle, lambda status: bool(status["phase"] == "Watching"))
        assert land.spec(SCALED)["minReplicaCount"] == 3
        await land.abort(handle)
        assert (await end_of(handle))[0] == "Aborted"
        assert land.spec(SCALED) == before
        assert await end_of(await land.release("v1", ROLLING)) == ("Succeeded", "v1 takes all traffic")
    assert land.spec(SCALED) == before
    assert land.spec(TRIP)["replicas"] == 3
