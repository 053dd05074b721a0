"""A Service as the router: everybody at once, and only what the endpoints show counts."""

from __future__ import annotations

from typing import Any

import pytest

from activities.clusters.kubernetes.kinds import SERVICE
from activities.clusters.kubernetes.labels import canary_labels
from activities.clusters.kubernetes.patch import put
from tests.activities.traffic.kubernetes import KubernetesWorld, noticing
from tests.activities.traffic.test_kubernetes import content
from tests.activities.world import Run, a_template
from workflows.contracts.targets import TakeOverRequest
from workflows.contracts.traffic import RestoreRequest, VerifyRequest
from workflows.errors import Fenced, ForeignChange, NotFound, NotReady, Rejected, Unsupported
from workflows.model.target import Backend, Claim, Target, TrafficState

pytestmark = pytest.mark.cluster

V1, V2 = a_template("v1"), a_template("v2")
EVERYBODY: dict[Backend, float] = {"canary": 100}


@pytest.fixture
def router() -> str:
    return "service"


@pytest.fixture
async def claim(shop: KubernetesWorld, run: Run, target: Target) -> Claim:
    claim = await shop.capture(run, target)
    await shop.deploy(run, target, claim, slot="stable", template=V1, replicas=2)
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=2)
    return claim


async def service(shop: KubernetesWorld) -> Any:
    return await shop.api.get(SERVICE, shop.place, "trip")


async def traffic(shop: KubernetesWorld, run: Run, target: Target) -> TrafficState:
    found = (await run.call(shop.targets._inspect, target)).traffic
    assert found
    return found


async def test_the_switch_is_one_field_and_the_way_back_leaves_nothing(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before = content(await service(shop))
    for weights, selector in (
        (EVERYBODY, canary_labels(target.key)),
        ({"maintenance": 100.0}, canary_labels(target.key) | {"headgate.dev/slot": "maintenance"}),
        ({"stable": 100.0, "canary": 0.0}, {"app": "trip"}),
    ):
        shifted = await shop.shift(run, target, claim, weights)  # type: ignore[arg-type]
        assert (shifted.verification, shifted.message) == ("verified", "")
        assert (await service(shop))["spec"]["selector"] == selector
    assert content(await service(shop)) == before


async def test_a_recorded_state_is_restored_to_the_letter(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    baseline = await traffic(shop, run, target)
    during = (await shop.shift(run, target, claim, EVERYBODY)).state
    for state in (during, baseline, during, baseline):
        restored = await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=claim, state=state))
        assert restored.verification == "verified"
        assert await traffic(shop, run, target) == state


@pytest.mark.parametrize("weights", [{"stable": 95, "canary": 5}, {"canary": 50, "maintenance": 50}])
async def test_a_part_of_the_users_is_refused_with_a_way_out(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim, *, weights: dict[Backend, float]
) -> None:
    with pytest.raises(Unsupported, match="switches all users at once; .* use stages of 100 only, or a router with"):
        await shop.shift(run, target, claim, weights)


async def test_single_requests_cannot_be_led_away(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    with pytest.raises(Unsupported, match="single requests"):
        await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")


async def test_nobody_is_switched_to_nothing(shop: KubernetesWorld, run: Run, target: Target, claim: Claim) -> None:
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=0)
    with pytest.raises(NotReady):
        await shop.shift(run, target, claim, EVERYBODY)
    assert (await service(shop))["spec"]["selector"] == {"app": "trip"}


async def test_another_backend_than_the_selected_one_is_not_verified(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    verified = await run.call(shop.traffic.verify, VerifyRequest(target=target, weights=EVERYBODY))
    assert (verified.verification, "leads to stable 100%" in verified.message) == ("notYet", True)


async def test_a_claim_that_was_lost_writes_nothing(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.capture_undo(run, target)
    with pytest.raises(Fenced, match="undo"):
        await shop.shift(run, target, claim, EVERYBODY)
    assert (await service(shop))["spec"]["selector"] == {"app": "trip"}


async def test_a_foreign_selector_stops_the_release_and_not_its_undo(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    baseline, before = await traffic(shop, run, target), content(await service(shop))
    await shop.shift(run, target, claim, EVERYBODY)
    await shop.api.patch(SERVICE, shop.place, "trip", [put(("spec", "selector"), {"app": "their-own"})])
    for weights in (EVERYBODY, {"stable": 100.0}):
        with pytest.raises(ForeignChange, match="is app=their-own; somebody else changed it"):
            await shop.shift(run, target, claim, weights)  # type: ignore[arg-type]
    undo = await shop.capture_undo(run, target)
    await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=undo, state=baseline))
    assert content(await service(shop)) == before


async def test_a_foreign_selector_is_noticed_at_once_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, EVERYBODY)
    ours = content(await service(shop))
    async with noticing(shop, target) as change:
        await shop.api.patch(SERVICE, shop.place, "trip", [put(("spec", "selector"), {"app": "their-own"})])
        found = await change
    assert found.field == f"Service {shop.place}/trip: /spec/selector"
    await run.call(shop.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert content(await service(shop)) == ours


async def test_a_selector_is_not_put_back_where_it_would_lead_to_nobody(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, EVERYBODY)
    await shop.api.patch(SERVICE, shop.place, "trip", [put(("spec", "selector"), {"app": "trip"})])
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=0)
    with pytest.raises(NotReady, match="no pod is ready"):
        await run.call(shop.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert (await service(shop))["spec"]["selector"] == {"app": "trip"}


async def test_services_that_cannot_be_switched_are_refused(shop: KubernetesWorld, run: Run, target: Target) -> None:
    await shop.api.create(SERVICE, shop.place, {"metadata": {"name": "bare"}, "spec": {"ports": [{"port": 80}]}})
    for name, error, sentence in (("bare", Rejected, "has no selector"), ("unknown", NotFound, "/unknown does not")):
        other = target.model_copy(update={"traffic": {"kind": "service", "service": name}})
        with pytest.raises(error, match=sentence):
            await run.call(shop.targets._inspect, other)
