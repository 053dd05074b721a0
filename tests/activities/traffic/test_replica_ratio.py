"""The number of pods as the weight: nothing is written, and only what the endpoints show counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.clusters.kubernetes.kinds import DEPLOYMENT, ENDPOINT_SLICE, POD, SERVICE
from activities.clusters.kubernetes.patch import put
from tests.activities.traffic.kubernetes import KubernetesWorld
from tests.activities.traffic.test_kubernetes import content
from tests.activities.world import Run, a_template
from workflows.contracts.traffic import RestoreRequest, VerifyRequest
from workflows.errors import Fenced, NotFound, Rejected, Unsupported
from workflows.model.target import Backend, Claim, Target, TrafficState

pytestmark = pytest.mark.cluster

V1, V2 = a_template("v1"), a_template("v2")
QUARTER: dict[Backend, float] = {"stable": 75, "canary": 25}


@pytest.fixture
async def shop(routing_kubeconfig: Path, tmp_path: Path) -> AsyncIterator[KubernetesWorld]:
    """Without pods, whose labels are each test's own."""
    made = KubernetesWorld(tmp_path, routing_kubeconfig, "replicas")
    try:
        await made.open()
        yield made
    finally:
        await made.finish()


@pytest.fixture
async def claim(shop: KubernetesWorld, run: Run, target: Target) -> Claim:
    """Three pods of the old version."""
    await shop.own()
    claim = await shop.capture(run, target)
    ready = await shop.deploy(run, target, claim, slot="stable", template=V1, replicas=3)
    assert ready.ready, ready.message
    return claim


async def traffic(shop: KubernetesWorld, run: Run, target: Target) -> TrafficState:
    found = (await run.call(shop.targets._inspect, target)).traffic
    assert found
    return found


async def test_pods_of_the_canary_are_the_weight(shop: KubernetesWorld, run: Run, target: Target, claim: Claim) -> None:
    before = content(await shop.api.get(SERVICE, shop.place, "trip"))
    baseline = await traffic(shop, run, target)
    assert baseline.weights == {"stable": 100}
    for pods, share in ((1, 25.0), (2, 40.0), (3, 50.0)):
        await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=pods)
        shifted = await shop.shift(run, target, claim, {"stable": 100 - share, "canary": share})
        assert shifted.verification == "verified", shifted.message
        assert (await traffic(shop, run, target)).weights == {"stable": 100 - share, "canary": share}
    await shop.retire(run, target, claim)
    restored = await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=claim, state=baseline))
    assert restored.verification == "verified", restored.message
    assert content(await shop.api.get(SERVICE, shop.place, "trip")) == before


async def test_another_ratio_than_the_pods_have_is_not_verified(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=2)
    verified = await run.call(shop.traffic.verify, VerifyRequest(target=target, weights=QUARTER))
    assert verified.verification == "notYet"
    assert "has canary 40%, stable 60% in 5 ready pods, not canary 25%, stable 75%" in verified.message


async def test_an_endpoint_that_is_no_ready_pod_of_either_version_is_not_verified(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    ports = [{"name": "http", "port": 9898}]
    stray: Any = {"metadata": {"name": "stray", "labels": {"kubernetes.io/service-name": "trip"}}}
    endpoint = {"addresses": ["192.0.2.1"], "conditions": {"ready": True}}
    stray |= {"addressType": "IPv4", "endpoints": [endpoint], "ports": ports}
    await shop.api.create(ENDPOINT_SLICE, shop.place, stray)
    verified = await run.call(shop.traffic.verify, VerifyRequest(target=target, weights=QUARTER))
    assert (verified.verification, "5 endpoints for 4 ready pods" in verified.message) == ("notYet", True)


async def test_pods_with_addresses_of_two_families_are_verified(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    endpoints = []
    for i, pod in enumerate(await shop.api.search(POD, shop.place)):
        ips = [*pod["status"]["podIPs"], {"ip": f"fd00::{i + 1}"}]
        await shop.api.patch(POD, shop.place, f"{pod['metadata']['name']}/status", [put(("status", "podIPs"), ips)])
        endpoints.append({"addresses": [ips[1]["ip"]], "conditions": {"ready": True}})
    second: Any = {"metadata": {"name": "second", "labels": {"kubernetes.io/service-name": "trip"}}}
    second |= {"addressType": "IPv6", "endpoints": endpoints, "ports": [{"name": "http", "port": 9898}]}
    await shop.api.create(ENDPOINT_SLICE, shop.place, second)
    verified = await run.call(shop.traffic.verify, VerifyRequest(target=target, weights=QUARTER))
    assert verified.verification == "verified", verified.message


@pytest.mark.parametrize(
    ("labels", "app"), [({}, "trip"), ({"instance": "trip-1"}, "trip")], ids=["same selector", "selector with more"]
)
async def test_the_canarys_pods_stay_out_of_the_deployments_selector_where_the_service_allows_it(
    shop: KubernetesWorld, run: Run, target: Target, labels: dict[str, str], app: str
) -> None:
    await shop.own(labels)
    claim = await shop.capture(run, target)
    await shop.deploy(run, target, claim, slot="stable", template=V1, replicas=1)
    ready = await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    assert ready.ready, ready.message
    found = await shop.api.get(DEPLOYMENT, shop.place, "trip-canary")
    pod = found["spec"]["template"]["metadata"]["labels"]
    assert pod["app"] == app
    assert pod.get("instance") == ("trip-canary" if labels else None)
    slots = await shop.providers.get("kubernetes").observe(target)
    assert [sum(slots[slot].ready.values()) for slot in ("stable", "canary")] == [1, 1]


async def test_a_claim_that_was_lost_verifies_nothing_as_its_own(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.capture_undo(run, target)
    with pytest.raises(Fenced, match="undo"):
        await shop.shift(run, target, claim, QUARTER)


async def test_what_pods_cannot_do_is_refused(shop: KubernetesWorld, run: Run, target: Target, claim: Claim) -> None:
    with pytest.raises(Unsupported, match="leads to whichever pods are ready"):
        await shop.shift(run, target, claim, {"maintenance": 100})
    with pytest.raises(Unsupported, match="use a router"):
        await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    await shop.api.create(SERVICE, shop.place, {"metadata": {"name": "bare"}, "spec": {"ports": [{"port": 80}]}})
    for name, error, sentence in (("bare", Rejected, "has no selector"), ("unknown", NotFound, "/unknown does not")):
        other = target.model_copy(update={"traffic": {"kind": "replicas", "service": name}})
        with pytest.raises(error, match=sentence):
            await run.call(shop.targets._inspect, other)
