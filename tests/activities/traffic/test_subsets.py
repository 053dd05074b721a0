"""Subsets on a real API server: they stand before the canary's pods do, follow the stable ones, and go in the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import DEPLOYMENT, DESTINATION_RULE, POD, VIRTUAL_SERVICE
from activities.clusters.kubernetes.labels import canary_labels
from activities.clusters.kubernetes.patch import put
from activities.traffic.protocol import Follower
from tests.activities.traffic.kubernetes import KubernetesWorld, noticing
from tests.activities.traffic.test_kubernetes import content
from tests.activities.world import Run, a_template
from workflows.contracts.targets import TakeOverRequest
from workflows.contracts.traffic import VerifyRequest
from workflows.errors import ForeignChange, Rejected
from workflows.model.target import Backend, Claim, Target

pytestmark = pytest.mark.cluster

V1, V2 = a_template("v1"), a_template("v2")
DIVIDED: dict[Backend, float] = {"stable": 100, "canary": 0}
HOME: dict[Backend, float] = {"stable": 100}
HASH = "pod-template-hash"
RESTART = put(("spec", "template", "metadata", "annotations"), {"restartedAt": "now"})


@pytest.fixture
def router() -> str:
    return "istioSubsets"


@pytest.fixture
async def claim(shop: KubernetesWorld, run: Run, target: Target) -> Claim:
    """Two pods of the old version."""
    claim = await shop.capture(run, target)
    ready = await shop.deploy(run, target, claim, slot="stable", template=V1, replicas=2)
    assert ready.ready, ready.message
    return claim


async def written(shop: KubernetesWorld) -> tuple[Object, Object]:
    found = [await shop.api.get(kind, shop.place, "shop") for kind in (VIRTUAL_SERVICE, DESTINATION_RULE)]
    return content(found[0]), content(found[1])


async def subsets(shop: KubernetesWorld) -> dict[str, Any]:
    """What each subset selects, by the end of its name."""
    rule = await shop.api.get(DESTINATION_RULE, shop.place, "shop")
    return {entry["name"].rpartition("-")[2]: entry["labels"] for entry in rule["spec"]["subsets"]}


def router_of(shop: KubernetesWorld) -> Follower:
    found = shop.routers.get("istio")
    assert isinstance(found, Follower)
    return found


async def hashes(shop: KubernetesWorld) -> set[str]:
    pods = await shop.api.search(POD, shop.place, labels="app=trip,headgate.dev/slot!=canary")
    return {pod["metadata"]["labels"][HASH] for pod in pods if not pod["metadata"].get("deletionTimestamp")}


async def test_both_subsets_stand_before_the_first_canary_pod_and_go_after_the_last(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before = await written(shop)
    shifted = await shop.shift(run, target, claim, DIVIDED)
    assert shifted.verification == "unsupported", shifted.message
    [name] = await hashes(shop)
    assert await subsets(shop) == {
        "beta": {"track": "beta"},
        "stable": {HASH: name},
        "canary": canary_labels(target.key),
    }
    route = await shop.api.get(VIRTUAL_SERVICE, shop.place, "shop")
    led = [entry["destination"] for rule in route["spec"]["http"] for entry in rule["route"]]
    assert all(found["subset"].endswith("-stable") for found in led if found["host"].startswith("trip"))
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    pod = (await shop.api.get(DEPLOYMENT, shop.place, "trip-canary"))["spec"]["template"]["metadata"]["labels"]
    assert pod["app"] == "trip", "the Service selects it"
    await shop.shift(run, target, claim, HOME)
    assert "canary" in await subsets(shop), "a pod of the canary is still behind the Service"
    await shop.retire(run, target, claim)
    await shop.shift(run, target, claim, HOME)
    assert await written(shop) == before


async def test_the_stable_subset_follows_the_deployment_while_it_is_promoted(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, DIVIDED)
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=2)
    await shop.shift(run, target, claim, {"canary": 100})
    [old] = await hashes(shop)
    await shop.deploy(run, target, claim, slot="stable", template=V2, replicas=2)
    await shop.shift(run, target, claim, {"stable": 50, "canary": 50})
    [new] = await hashes(shop)
    assert new != old
    assert (await subsets(shop))["stable"] == {HASH: new}


async def test_a_foreign_replacement_of_the_stable_pods_is_followed_at_once_and_noticed(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, DIVIDED)
    [old] = await hashes(shop)
    following = asyncio.create_task(run.call(router_of(shop).follow, target))
    async with noticing(shop, target) as change:
        await shop.api.patch(DEPLOYMENT, shop.place, "trip", [RESTART])
        assert (await change).field == f"Deployment {shop.place}/trip: /spec/template"
    async with asyncio.timeout(20):
        while await hashes(shop) != {(await subsets(shop))["stable"][HASH]} - {old}:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    following.cancel()


async def test_a_subset_that_somebody_else_points_elsewhere_is_noticed_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, DIVIDED)
    ours = await written(shop)
    rule = await shop.api.get(DESTINATION_RULE, shop.place, "shop")
    theirs = [entry | {"labels": {"version": "v9"}} for entry in rule["spec"]["subsets"]]
    async with noticing(shop, target) as change:
        await shop.api.patch(DESTINATION_RULE, shop.place, "shop", [put(("spec", "subsets"), theirs)])
        assert "DestinationRule" in (await change).field
    with pytest.raises(ForeignChange):
        await shop.shift(run, target, claim, DIVIDED)
    await run.call(shop.targets.take_over, TakeOverRequest(target=target, claim=claim))
    found = await written(shop)
    assert found[0] == ours[0]
    assert [entry for entry in found[1]["spec"]["subsets"] if entry["name"] != "beta"] == [
        entry for entry in ours[1]["spec"]["subsets"] if entry["name"] != "beta"
    ]


async def test_whoever_lost_the_target_follows_nothing(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, DIVIDED)
    before = await subsets(shop)
    await shop.capture_undo(shop.run("run-2"), target)
    await shop.api.patch(DEPLOYMENT, shop.place, "trip", [RESTART])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await run.call(router_of(shop).follow, target)
    assert await subsets(shop) == before


async def test_a_route_without_its_subset_is_not_taken_for_divided(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    verified = await run.call(shop.traffic.verify, VerifyRequest(target=target, weights=DIVIDED))
    assert (verified.verification, "does not have the subsets" in verified.message) == ("notYet", True)


async def test_a_rule_for_another_host_is_refused(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.api.patch(DESTINATION_RULE, shop.place, "shop", [put(("spec", "host"), "users")])
    with pytest.raises(Rejected, match="is for host users, not for Service trip"):
        await shop.shift(run, target, claim, DIVIDED)
