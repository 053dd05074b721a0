"""Ingresses on a real API server: what is written, what never is, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import INGRESS, SERVICE
from activities.clusters.kubernetes.patch import drop, put
from activities.clusters.kubernetes.resources import Resource
from activities.traffic.ingresses.annotations import PREFIX, told
from activities.traffic.ingresses.nginx import NginxRouter
from activities.traffic.protocol import Sticky
from tests.activities.traffic.conftest import INGRESSES
from tests.activities.traffic.kubernetes import KubernetesWorld, noticing
from tests.activities.traffic.test_kubernetes import changed_and_put_back, content
from tests.activities.world import Run, a_template
from workflows.contracts.targets import TakeOverRequest
from workflows.contracts.traffic import RestoreRequest, VerifyRequest
from workflows.errors import Fenced, ForeignChange, NotReady, Rejected
from workflows.model.target import Claim, Target

pytestmark = pytest.mark.cluster

V1, V2 = a_template("v1"), a_template("v2")
PREVIEW = {"host": "validation.example.com"}
MATCH = [{"header": "x-canary", "exact": "yes"}]
SWITCH, NGINX = (pytest.mark.parametrize("router", [name]) for name in ("ingress", "nginx"))


@pytest.fixture(params=INGRESSES)
def router(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def target(shop: KubernetesWorld, router: str) -> Target:
    return shop.target(**({"preview": PREVIEW} if router == "ingress" else {"match": MATCH}))


async def ingress(shop: KubernetesWorld, name: str = "shop") -> Any:
    return await shop.api.get(INGRESS, shop.place, name)


async def names(shop: KubernetesWorld) -> dict[str, set[str]]:
    """Everything that is there by its kind."""
    kinds = (INGRESS, SERVICE)
    return {
        kind.name: {found["metadata"]["name"] for found in await shop.api.search(kind, shop.place)} for kind in kinds
    }


def leading(found: Object) -> list[str]:
    paths = [path for rule in found["spec"]["rules"] for path in rule["http"]["paths"]]
    return [path["backend"]["service"]["name"] for path in paths]


async def test_every_field_is_as_it_was_after_the_release(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before, baseline = content(await ingress(shop)), (await run.call(shop.targets._inspect, target)).traffic
    assert baseline
    await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    for share in (5.0, 50.0, 100.0):
        await shop.shift(run, target, claim, shop.some(share), preview_to="canary")
    for _ in range(2):
        await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=claim, state=baseline))
        assert content(await ingress(shop)) == before
    assert await names(shop) == {"Ingress": {"shop"}, "Service": {"trip"}}


async def test_the_same_again_writes_nothing(shop: KubernetesWorld, run: Run, target: Target, claim: Claim) -> None:
    await shop.shift(run, target, claim, shop.some(50), preview_to="canary")
    before = await shop.api.search(INGRESS, shop.place)
    await shop.shift(run, target, claim, shop.some(50), preview_to="canary")
    assert await shop.api.search(INGRESS, shop.place) == before


async def test_what_is_ours_goes_with_the_canarys_deployment(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    assert "shop" in (await names(shop))["Ingress"] > {"shop"}
    await shop.retire(run, target, claim)
    async with asyncio.timeout(20):
        while await names(shop) != {"Ingress": {"shop"}, "Service": {"trip"}}:  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.2)


async def test_an_ingress_of_somebody_else_is_never_taken(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    theirs = {
        "metadata": {"name": "trip-canary"},
        "spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 1}}}},
    }
    await shop.api.create(INGRESS, shop.place, theirs)
    before = await ingress(shop, "trip-canary")
    with pytest.raises(Rejected, match="trip-canary is there already and is not Headgate's"):
        await shop.shift(run, target, claim, shop.some(5), preview_to="canary")
    await shop.shift(run, target, claim, {"stable": 100})
    assert await ingress(shop, "trip-canary") == before


FOREIGN = {
    "ingress": ("shop", ("spec", "rules", 1, "http", "paths", 1, "backend", "service", "name"), "trip"),
    "nginx": ("trip-canary", ("metadata", "annotations", f"{PREFIX}canary-weight"), "77"),
}
"""What somebody else writes over ours: the Ingress, the field and the value."""


async def test_a_foreign_change_is_noticed_at_once_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim, router: str
) -> None:
    name, field, value = FOREIGN[router]
    await shop.shift(run, target, claim, shop.some(10), preview_to="canary")
    there = Resource(shop.api, INGRESS, shop.place, name)
    await changed_and_put_back(shop, run, target, claim, there=there, by=put(field, value))


async def test_a_foreign_selector_of_the_canarys_service_is_noticed_at_once_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, shop.some(10), preview_to="canary")
    service = Resource(shop.api, SERVICE, shop.place, "trip-canary")
    await changed_and_put_back(shop, run, target, claim, there=service, by=put(("spec", "selector"), {"app": "trip"}))


@SWITCH
async def test_a_foreign_change_of_the_preview_is_noticed_at_once_and_put_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    preview = Resource(shop.api, INGRESS, shop.place, "trip-canary")
    to_stable = ("spec", "rules", 0, "http", "paths", 0, "backend", "service", "name")
    await changed_and_put_back(shop, run, target, claim, there=preview, by=put(to_stable, "trip"))


@SWITCH
async def test_the_validation_host_leads_to_the_new_version_before_anybody_is_switched(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before = await ingress(shop)
    await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    assert (await ingress(shop))["spec"] == before["spec"]
    made = await ingress(shop, "trip-canary")
    assert made["spec"]["ingressClassName"] == before["spec"]["ingressClassName"]
    assert made["spec"]["tls"] == [{"hosts": ["validation.example.com"], "secretName": "shop-tls"}]
    assert leading(made) == ["trip-canary", "trip-canary", "trip"], "the last is a path that nobody asks for"
    assert {rule["host"] for rule in made["spec"]["rules"]} == {"validation.example.com"}
    kept = {name for name in made["metadata"]["annotations"] if not name.startswith("fence.")}
    assert kept == {name for name in before["metadata"]["annotations"] if name.startswith(("appgw.", "nginx."))}
    await shop.shift(run, target, claim, {"canary": 100}, preview_to="canary")
    assert leading(await ingress(shop)) == ["users", "users", "trip-canary", "trip-canary"]


@SWITCH
async def test_a_foreign_backend_stops_the_release_and_not_its_undo(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before, baseline = content(await ingress(shop)), (await run.call(shop.targets._inspect, target)).traffic
    assert baseline
    await shop.shift(run, target, claim, {"canary": 100})
    name, field, value = FOREIGN["ingress"]
    await shop.api.patch(INGRESS, shop.place, name, [put(field, value)])
    with pytest.raises(ForeignChange, match=r"/api/trips \(Prefix\) was written as trip-canary and is trip; somebody"):
        await shop.shift(run, target, claim, {"canary": 100})
    undo = await shop.capture_undo(run, target)
    await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=undo, state=baseline))
    assert content(await ingress(shop)) == before


@SWITCH
async def test_the_switch_and_its_way_back_are_quick(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    times = []
    for backend in ("canary", "stable") * 5:
        begun = time.monotonic()
        shifted = await shop.shift(run, target, claim, {backend: 100})
        times.append(time.monotonic() - begun)
        assert shifted.verification == shop.verified, shifted.message
    print("switch to and fro, written and read back:", ", ".join(f"{took * 1000:.0f} ms" for took in times))


@NGINX
async def test_the_users_own_ingress_is_never_written_to_but_for_the_fence(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before = await ingress(shop)
    for share in (0.0, 0.5, 33.33, 100.0):
        await shop.shift(run, target, claim, shop.some(share), preview_to="canary")
        assert await ingress(shop) == before
    await shop.shift(run, target, claim, {"stable": 100})
    assert await ingress(shop) == before


@NGINX
async def test_sessions_of_ingress_nginx_are_noticed(shop: KubernetesWorld, run: Run, target: Target) -> None:
    router = shop.routers.get("nginx")
    assert isinstance(router, Sticky)
    assert await run.call(router.affinity, target) == "session cookies of ingress-nginx"
    await shop.api.patch(INGRESS, shop.place, "shop", [drop(("metadata", "annotations", f"{PREFIX}affinity"))])
    assert await run.call(router.affinity, target) == ""


@NGINX
async def test_the_canary_takes_the_same_paths_with_a_header_and_a_weight(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    own = await ingress(shop)
    for share, weight in (
        (0.0, {"canary-weight": "0"}),
        (0.5, {"canary-weight": "5", "canary-weight-total": "1000"}),
        (100.0, {"canary-weight": "100"}),
    ):
        await shop.shift(run, target, claim, shop.some(share), preview_to="canary")
        found = await ingress(shop, "trip-canary")
        header = {"canary-by-header": "x-canary", "canary-by-header-value": "yes"}
        wanted = {"canary": "true", "affinity": "cookie", **header, **weight}
        assert told(found) == {f"{PREFIX}{name}": value for name, value in wanted.items()}
    made = await ingress(shop, "trip-canary")
    ours = own["spec"]["rules"][1]
    paths = [
        path | {"backend": {"service": path["backend"]["service"] | {"name": "trip-canary"}}}
        for path in ours["http"]["paths"][1:]
    ]
    assert made["spec"] == {
        "ingressClassName": own["spec"]["ingressClassName"],
        "rules": [{"host": shop.host, "http": {"paths": paths}}],
    }


@NGINX
async def test_a_path_that_the_user_adds_meanwhile_is_taken_with_the_next_weight(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.shift(run, target, claim, shop.some(5))
    more = (await ingress(shop))["spec"]["rules"][1]["http"]["paths"][1] | {"path": "/api/more"}
    await shop.api.patch(INGRESS, shop.place, "shop", [put(("spec", "rules", 1, "http", "paths", 0), more)])
    await shop.shift(run, target, claim, shop.some(25))
    paths = (await ingress(shop, "trip-canary"))["spec"]["rules"][0]["http"]["paths"]
    assert [path["path"] for path in paths] == ["/api/more", "/api/trips", "/trips"]


@NGINX
async def test_another_canary_of_the_same_rules_is_refused_and_in_nobodys_way_back(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    own = await ingress(shop)
    metadata = {"name": "theirs", "annotations": {f"{PREFIX}canary": "true"}}
    await shop.api.create(INGRESS, shop.place, {"metadata": metadata, "spec": own["spec"]})
    with pytest.raises(Rejected, match="/theirs is a canary of the same rules, and ingress-nginx takes one; remove it"):
        await shop.shift(run, target, claim, shop.some(5))
    assert await names(shop) == {"Ingress": {"shop", "theirs"}, "Service": {"trip"}}
    undo = await shop.capture_undo(run, target)
    assert (await shop.shift(run, target, undo, {"stable": 100})).verification == shop.verified


@NGINX
async def test_a_canary_is_no_ingress_to_make_a_canary_of(shop: KubernetesWorld, run: Run, target: Target) -> None:
    await shop.api.patch(INGRESS, shop.place, "shop", [put(("metadata", "annotations", f"{PREFIX}canary"), "true")])
    with pytest.raises(Rejected, match="/shop is a canary itself; name the Ingress beside it"):
        await run.call(shop.targets._inspect, target)


@NGINX
async def test_a_foreign_weight_stops_the_release_and_not_its_undo(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    baseline = (await run.call(shop.targets._inspect, target)).traffic
    assert baseline
    await shop.shift(run, target, claim, shop.some(5))
    name, field, value = FOREIGN["nginx"]
    await shop.api.patch(INGRESS, shop.place, name, [put(field, value)])
    found = (await run.call(shop.targets._inspect, target)).traffic
    assert found
    assert found.weights == {"stable": 23, "canary": 77}
    with pytest.raises(ForeignChange, match="canary-weight was written as 5 and is 77; somebody else changed it"):
        await shop.shift(run, target, claim, shop.some(25))
    undo = await shop.capture_undo(run, target)
    await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=undo, state=baseline))
    assert (await names(shop))["Ingress"] == {"shop"}


@NGINX
async def test_a_canary_ingress_that_somebody_deletes_is_a_foreign_change(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    baseline = (await run.call(shop.targets._inspect, target)).traffic
    assert baseline
    await shop.shift(run, target, claim, shop.some(5))
    ours = await ingress(shop, "trip-canary")
    async with noticing(shop, target) as change:
        await shop.api.delete(INGRESS, shop.place, "trip-canary", uid=ours["metadata"]["uid"])
        found = await change
    assert found.field == f"Ingress {shop.place}/trip-canary"
    with pytest.raises(ForeignChange, match="was written as canary 5%, stable 95% and is gone; somebody else"):
        await shop.shift(run, target, claim, shop.some(25))
    with pytest.raises(ForeignChange, match="is gone"):
        await run.call(shop.traffic.verify, VerifyRequest(target=target, weights=shop.some(5)))
    await run.call(shop.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert content(await ingress(shop, "trip-canary")) == content(ours)
    for weights in ({"stable": 100.0}, shop.some(25), {"stable": 100.0}):
        assert (await shop.shift(run, target, claim, weights)).verification == shop.verified  # type: ignore[arg-type]


@NGINX
async def test_an_attempt_that_comes_too_late_leaves_no_user_on_the_canary(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shop.routers.get("nginx")
    assert isinstance(made, NginxRouter)
    body = made._body

    async def overtaken(*arguments: Any) -> Object:
        result = await body(*arguments)
        await shop.capture_undo(run, target)
        return result

    monkeypatch.setattr(made, "_body", overtaken)
    with pytest.raises(Fenced, match="undo"):
        await run.call(made.write, target, claim, made.wanted(target, {"stable": 50, "canary": 50}, None))
    assert told(await ingress(shop, "trip-canary"))[f"{PREFIX}canary-weight"] == "0"
    undo = await shop.capture_undo(run, target)
    await shop.shift(run, target, undo, {"stable": 100})
    assert (await names(shop))["Ingress"] == {"shop"}


@NGINX
async def test_nobody_is_sent_where_nobody_is_ready(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=0)
    router = shop.routers.get("nginx")
    with pytest.raises(NotReady, match="trip-canary has no ready endpoints, so canary gets no more users"):
        await run.call(router.write, target, claim, router.wanted(target, {"stable": 95, "canary": 5}, None))
    assert (await names(shop))["Ingress"] == {"shop"}


async def test_four_services_of_one_ingress_are_released_at_once(shop: KubernetesWorld, router: str) -> None:
    """Each moves its own rule alone, whatever the others write between its reads and its writes."""
    services = ("trip", "one", "two", "three")
    before = await four(shop, services)
    releases = [(shop.run(f"run-{name}", f"release-{name}"), of(shop, name)) for name in services]
    await asyncio.gather(*(to_and_fro(shop, run, target) for run, target in releases))
    assert content(await ingress(shop)) == before


def of(shop: KubernetesWorld, name: str) -> Target:
    target = shop.target()
    workload, traffic = target.workload | {"deployment": name}, target.traffic | {"service": name}
    return target.model_copy(update={"workload": workload, "traffic": traffic})


async def four(shop: KubernetesWorld, services: tuple[str, ...]) -> Any:
    """An Ingress with a path for each of them."""
    for name in services[1:]:
        spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 9898}]}
        await shop.api.create(SERVICE, shop.place, {"metadata": {"name": name}, "spec": spec})
    port = {"name": "http"}
    paths = [
        {"path": f"/{name}", "pathType": "Prefix", "backend": {"service": {"name": name, "port": port}}}
        for name in services
    ]
    await shop.api.patch(INGRESS, shop.place, "shop", [put(("spec", "rules", 1, "http", "paths"), paths)])
    return content(await ingress(shop))


async def to_and_fro(shop: KubernetesWorld, run: Run, target: Target) -> None:
    claim = await shop.capture(run, target)
    await shop.deploy(run, target, claim, slot="stable", template=V1, replicas=1)
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    for _ in range(3):
        assert (await shop.shift(run, target, claim, shop.some(50))).verification == shop.verified
        await asyncio.sleep(0)
        assert (await shop.shift(run, target, claim, {"stable": 100})).verification == shop.verified
