"""What the routers of Kubernetes add to the contract: nothing of them stays, and nothing of others is touched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import SERVICE
from activities.clusters.kubernetes.labels import MANAGED, canary_labels
from activities.clusters.kubernetes.patch import Operation, Path, pointer, put
from activities.clusters.kubernetes.resources import MadeResource, Resource
from activities.traffic.weighted.companions import Companion
from activities.traffic.weighted.router import WeightedRouter
from tests.activities.traffic.conftest import SETUPS
from tests.activities.traffic.kubernetes import KubernetesWorld, noticing
from tests.activities.world import Run, a_template
from workflows.contracts.targets import TakeOverRequest
from workflows.contracts.traffic import RestoreRequest
from workflows.errors import ForeignChange, Rejected
from workflows.model.target import Claim, Target

pytestmark = pytest.mark.cluster

V1, V2 = a_template("v1"), a_template("v2")


@pytest.fixture(params=SETUPS)
def router(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def route(shop: KubernetesWorld, target: Target) -> Resource:
    made = shop.routers.get(target.traffic["kind"])
    assert isinstance(made, WeightedRouter)
    return made._place(target).route


def content(found: Object) -> Any:
    """What a person would compare: all but the server's book-keeping and our fence, which stays for ever."""
    metadata = found["metadata"]
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if not k.startswith("fence.headgate.dev/")}
    return {**found, "status": None, "metadata": {"labels": metadata.get("labels"), "annotations": annotations}}


async def names(shop: KubernetesWorld) -> set[str]:
    return {found["metadata"]["name"] for found in await shop.api.search(SERVICE, shop.place)}


async def test_every_field_is_as_it_was_after_the_release(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before = content(await route(shop, target).get())
    baseline = (await run.call(shop.targets._inspect, target)).traffic
    assert baseline
    for share in (5, 33.33, 100):
        await shop.shift(run, target, claim, {"stable": 100 - share, "canary": share})
        assert content(await route(shop, target).get()) != before
    await shop.shift(run, target, claim, {"stable": 100})
    assert content(await route(shop, target).get()) == before
    await shop.shift(run, target, claim, {"maintenance": 100})
    await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=claim, state=baseline))
    assert content(await route(shop, target).get()) == before
    await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=claim, state=baseline))
    assert await names(shop) == {"trip"}


async def test_the_canarys_service_is_a_copy_without_its_owners_marks(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, {"stable": 90, "canary": 10})
    stable = await shop.api.get(SERVICE, shop.place, "trip")
    canary = await shop.api.get(SERVICE, shop.place, "trip-canary")
    assert canary["spec"]["ports"] == stable["spec"]["ports"]
    assert canary["spec"]["selector"] == canary_labels(target.key)
    assert canary["metadata"]["labels"] == MANAGED | canary_labels(target.key)
    assert [name for name in canary["metadata"]["annotations"] if not name.startswith("fence.")] == [
        "projectcontour.io/upstream-protocol.h2c"
    ]
    assert content(stable)["metadata"]["annotations"].keys() == {
        "projectcontour.io/upstream-protocol.h2c",
        "argocd.argoproj.io/tracking-id",
    }


async def test_the_canarys_service_goes_with_its_deployment(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, {"stable": 90, "canary": 10})
    await shop.shift(run, target, claim, {"stable": 100})
    assert "trip-canary" in await names(shop), "open requests may finish"
    await shop.retire(run, target, claim)
    async with asyncio.timeout(20):
        while "trip-canary" in await names(shop):  # noqa: ASYNC110 - the collector sends no events.
            await asyncio.sleep(0.2)


async def test_an_undo_takes_the_maintenance_service_away_that_no_route_ever_named(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = (await run.call(shop.targets._inspect, target)).traffic
    assert baseline

    async def refused(*_: Any, **__: Any) -> Object:
        raise Rejected("an admission controller refuses the route")

    with monkeypatch.context() as patched:
        patched.setattr(shop.api, "patch", refused)
        with pytest.raises(Rejected):
            await shop.shift(run, target, claim, {"maintenance": 100})
    assert "trip-maintenance" in await names(shop)
    undo = await shop.capture_undo(run, target)
    await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=undo, state=baseline))
    assert await names(shop) == {"trip"}


async def test_a_service_of_somebody_else_is_never_taken(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    theirs = {"metadata": {"name": "trip-canary"}, "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}}
    await shop.api.create(SERVICE, shop.place, theirs)
    with pytest.raises(Rejected, match="trip-canary is there already and is not Headgate's"):
        await shop.shift(run, target, claim, {"stable": 90, "canary": 10})
    await shop.shift(run, target, claim, {"stable": 100})
    assert (await shop.api.get(SERVICE, shop.place, "trip-canary"))["spec"]["selector"] == {"app": "x"}


async def test_a_service_of_somebody_else_is_refused_before_anything_is_claimed(
    shop: KubernetesWorld, run: Run, target: Target
) -> None:
    await shop.api.create(SERVICE, shop.place, {"metadata": {"name": "trip-canary"}, "spec": {"ports": [{"port": 80}]}})
    with pytest.raises(Rejected, match="trip-canary is there already and is not Headgate's"):
        await shop.capture(run, target)
    assert await route(shop, target).claim(target.key) is None


async def test_what_a_late_attempt_made_is_taken_over(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    late = claim.model_copy(update={"epoch": claim.epoch - 1})
    place = MadeResource(shop.api, SERVICE, shop.place, "trip-canary")
    body = {"spec": {"selector": canary_labels(target.key), "ports": [{"port": 1}]}}
    await run.call(Companion(place, target.key, late).ensure, body)
    shifted = await shop.shift(run, target, claim, {"stable": 90, "canary": 10})
    assert shifted.verification == shop.verified
    assert (await place.get())["spec"]["ports"] == (await shop.api.get(SERVICE, shop.place, "trip"))["spec"]["ports"]


async def reweigh(shop: KubernetesWorld, target: Target, weight: int = 77) -> str:
    """Somebody else changes the first weight of the first list that leads to the canary; returns that list's path."""
    there = await route(shop, target).get()
    made = shop.routers.get(target.traffic["kind"])
    assert isinstance(made, WeightedRouter)
    shape = made._shape(target)
    path, field, _ = next(
        found for found in shape.rules(there) if any("trip-canary" in str(ref) for ref in found[2][found[1]])
    )
    await shop.api.patch(shape.kind, shop.place, there["metadata"]["name"], [put((*path, field, 0, "weight"), weight)])
    return pointer((*path, field))


async def test_a_foreign_change_is_noticed_at_once_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, {"stable": 90, "canary": 10})
    ours = content(await route(shop, target).get())
    async with noticing(shop, target) as change:
        field = await reweigh(shop, target)
        found = await change
    assert found.field == f"{route(shop, target).label}: {field}"
    assert "trip 77" in str(found)
    await run.call(shop.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert content(await route(shop, target).get()) == ours
    async with noticing(shop, target) as change:
        await shop.shift(run, target, claim, {"stable": 50, "canary": 50})
        assert not change.done()


async def changed_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim, *, there: Resource, by: Operation | None
) -> None:
    """Somebody else patches an object of ours, or deletes it: that is told, and put back the object is as it was."""
    before = await there.get()
    ours = content(before)
    async with noticing(shop, target) as change:
        if by is None:
            await shop.api.delete(there.kind, shop.place, there.name, uid=before["metadata"]["uid"])
        else:
            await shop.api.patch(there.kind, shop.place, there.name, [by])
        found = await change
    assert found.field.startswith(there.label)
    await run.call(shop.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert content(await there.get()) == ours


async def test_a_foreign_selector_of_the_canarys_service_is_noticed_at_once_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, {"stable": 90, "canary": 10})
    service = Resource(shop.api, SERVICE, shop.place, "trip-canary")
    await changed_and_put_back(shop, run, target, claim, there=service, by=put(("spec", "selector"), {"app": "trip"}))


FOREIGN_HOSTS: dict[str, Path] = {
    "gatewayApi": ("spec", "hostnames", 0),
    "contour": ("spec", "virtualhost", "fqdn"),
    "istio": ("spec", "hosts", 0),
    "istioSubsets": ("spec", "hosts", 0),
}


@pytest.mark.parametrize("router", FOREIGN_HOSTS)
async def test_a_foreign_change_of_the_preview_is_noticed_at_once_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim, router: str
) -> None:
    previewed = shop.target(preview={"host": "next.example.com"})
    async with noticing(shop, previewed) as change:
        await shop.shift(run, previewed, claim, {"stable": 100}, preview_to="canary")
        assert not change.done()
    preview = Resource(shop.api, route(shop, target).kind, shop.place, "trip-canary")
    for by in (put(FOREIGN_HOSTS[router], "elsewhere.io"), None):
        await changed_and_put_back(shop, run, previewed, claim, there=preview, by=by)


async def test_a_route_that_is_left_alone_is_watched_without_being_read(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, {"stable": 90, "canary": 10})
    kind = route(shop, target).kind.plural
    async with noticing(shop, target):
        before = shop.api.calls[f"GET {kind}"], shop.api.calls[f"WATCH {kind}"]
        await asyncio.sleep(1.5)
        assert (shop.api.calls[f"GET {kind}"], shop.api.calls[f"WATCH {kind}"]) == before


async def test_a_foreign_change_stops_the_release_and_not_its_undo(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    baseline = (await run.call(shop.targets._inspect, target)).traffic
    before = content(await route(shop, target).get())
    await shop.shift(run, target, claim, {"stable": 90, "canary": 10})
    assert baseline
    await reweigh(shop, target)
    with pytest.raises(ForeignChange, match="somebody else changed it"):
        await shop.shift(run, target, claim, {"stable": 50, "canary": 50})
    undo = await shop.capture_undo(run, target)
    await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=undo, state=baseline))
    assert content(await route(shop, target).get()) == before
