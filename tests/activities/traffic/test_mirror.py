"""Copies of requests on a real API server: there while nobody has met the new version, and gone with nothing left."""

from __future__ import annotations

import json

import pytest

from activities.clusters.kubernetes.kinds import SERVICE
from tests.activities.traffic.kubernetes import KubernetesWorld
from tests.activities.traffic.test_kubernetes import content, route
from tests.activities.world import Run, a_template
from workflows.contracts.traffic import RestoreRequest
from workflows.errors import Rejected
from workflows.model.target import Claim, Target

pytestmark = pytest.mark.cluster


@pytest.fixture(params=["gatewayApi", "contour", "istio", "istioSubsets"])
def router(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def target(shop: KubernetesWorld, router: str) -> Target:
    return shop.target(mirror={"percent": 20})


@pytest.fixture
async def claim(shop: KubernetesWorld, run: Run, target: Target) -> Claim:
    claim = await shop.capture(run, target)
    for slot, version in (("stable", "v1"), ("canary", "v2")):
        await shop.deploy(run, target, claim, slot=slot, template=a_template(version), replicas=1)  # type: ignore[arg-type]
    return claim


async def test_copies_last_until_the_first_user_and_leave_no_trace(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim, router: str
) -> None:
    if router in ("contour", "istio", "istioSubsets"):
        await make_room(shop, target)
    before = content(await route(shop, target).get())
    baseline = (await run.call(shop.targets._inspect, target)).traffic
    assert baseline
    for _ in range(2):
        shifted = await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
        assert shifted.verification == shop.verified, shifted.message
        there = json.dumps((await route(shop, target).get())["spec"])
        assert '"percent": 20' in there or '"value": 20' in there or '"mirror": true' in there
        services = {found["metadata"]["name"] for found in await shop.api.search(SERVICE, shop.place)}
        assert ("trip-canary" in services) is (router != "istioSubsets"), "copies go where somebody answers"
        await shop.shift(run, target, claim, {"stable": 95, "canary": 5}, preview_to="canary")
        there = json.dumps((await route(shop, target).get())["spec"])
        assert not any(sign in there for sign in ('"percent": 20', '"value": 20', '"mirror": true'))
    await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    undo = await shop.capture_undo(run, target)
    await shop.shift(run, target, undo, {"stable": 100})
    await shop.retire(run, target, undo)
    await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=undo, state=baseline))
    assert content(await route(shop, target).get()) == before


@pytest.mark.parametrize("router", ["contour", "istio", "istioSubsets"])
async def test_a_route_without_room_for_a_copy_is_refused(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    with pytest.raises(Rejected, match="leave traffic.mirror out"):
        await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")


async def make_room(shop: KubernetesWorld, target: Target) -> None:
    """Takes the user's own copies out of the route that the other tests have."""
    place = route(shop, target)
    found = await place.get()
    for rule in found["spec"].get("http") or found["spec"]["routes"]:
        rule.pop("mirror", None)
        if "services" in rule:
            rule["services"] = [service for service in rule["services"] if not service.get("mirror")]
    spec = [{"op": "add", "path": "/spec", "value": found["spec"]}]
    await shop.api.patch(place.kind, place.namespace, place.name, spec)
