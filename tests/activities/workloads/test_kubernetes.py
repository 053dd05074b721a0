"""What only Deployments have: the user's own stays as it was, its copy is nobody else's, and blockers have words."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.labels import SLOT, TARGET
from activities.workloads.secret import LIMIT, record_in
from tests.activities.targets.test_undo import undo
from tests.activities.traffic.kubernetes import noticing
from tests.activities.world import Run, World, a_release, a_template
from tests.cluster import Namespace
from workflows.contracts.targets import AcquireRequest, SettleRequest, TakeOverRequest
from workflows.contracts.workloads import DeployRequest, ReadyResult, RetireRequest, ScaleRequest, WaitReadyRequest
from workflows.errors import Conflict, Fenced, ForeignChange, NotFound, NotReady, Rejected, Unavailable, Unsupported
from workflows.model.target import SLOTS, Claim, Mark, Promoted, Slot, Target, Template

pytestmark = pytest.mark.cluster

V1, V2 = a_template("v1"), a_template("v2")
STRATEGY = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}
SERVICE = {"selector": {"team": "trips"}, "ports": [{"port": 80, "targetPort": 8080}]}


@pytest.fixture
async def shop(world: World, kubeconfig: Path) -> AsyncIterator[Namespace]:
    world.kinds = ("kubernetes", "none")
    async with world.kubernetes(kubeconfig, replicas=2, image="v0", strategy=STRATEGY) as namespace:
        namespace.apply("v1", "Service", "trip", spec=SERVICE)
        await waiting(lambda: (deployment(namespace).get("status") or {}).get("availableReplicas") == 2)
        yield namespace


@pytest.fixture
def target(world: World, shop: Namespace) -> Target:
    return world.target()


@pytest.fixture
def run(world: World) -> Run:
    return world.run()


@pytest.fixture
async def claim(world: World, run: Run, target: Target) -> Claim:
    return await world.capture(run, target)


async def waiting(fact: Any, *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def deployment(shop: Namespace, name: str = "trip") -> Any:
    return shop.get(f"apps/v1/deployments/{name}")


def pods(shop: Namespace, selector: str) -> list[Any]:
    path = f"/api/v1/namespaces/{shop.name}/pods?labelSelector={selector}"
    found: list[Any] = shop.api.get(path)["items"]
    return found


def edit(shop: Namespace, name: str, container: dict[str, Any]) -> None:
    """Somebody edits the container of a Deployment."""
    path = f"/apis/apps/v1/namespaces/{shop.name}/deployments/{name}"
    body = {"spec": {"template": {"spec": {"containers": [{"name": "trip", **container}]}}}}
    shop.api.request("PATCH", path, body, kind="application/strategic-merge-patch+json")


def old_of(mark: Mark | None) -> Template:
    assert mark
    template = mark.baseline.slot("stable").template
    assert template
    return template


async def tried(world: World, run: Run, target: Target, claim: Claim, image: str, *, seconds: float) -> ReadyResult:
    """A version that runs this tag, in the canary slot, waited for."""
    template = Template(version=image, digest=f"digest-{image}", body={"images": {"": f"registry.test/trip:{image}"}})
    deploy = DeployRequest(target=target, claim=claim, slot="canary", template=template, replicas=1)
    await run.call(world.workloads.deploy, deploy)
    wait = WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=1, timeout_seconds=seconds)
    return await run.call(world.workloads.wait_ready, wait)


async def settle(world: World, run: Run, target: Target, claim: Claim, promoted: Promoted | None = None) -> None:
    await run.call(world.targets.settle, SettleRequest(target=target, claim=claim, promoted=promoted))


async def test_a_deployment_that_no_release_touched_has_its_images_tag_as_version(
    world: World, run: Run, target: Target
) -> None:
    stable = (await run.call(world.targets._inspect, target)).slot("stable")
    assert stable.template
    assert stable.template.version == "v0"
    assert (stable.replicas, stable.ready, stable.running) == (2, {stable.template.digest: 2}, 2)


async def test_a_canary_that_comes_and_goes_leaves_the_stable_pods_alone(
    world: World, run: Run, target: Target, shop: Namespace
) -> None:
    before, users = deployment(shop), pods(shop, "app=trip")
    claim = await world.capture(run, target)
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    await world.retire(run, target, claim)
    await settle(world, run, target, claim)
    after = deployment(shop)
    assert after["spec"] == before["spec"]
    assert [(pod["metadata"]["uid"], pod["metadata"]["labels"]) for pod in pods(shop, "app=trip")] == [
        (pod["metadata"]["uid"], pod["metadata"]["labels"]) for pod in users
    ]
    assert deployment(shop, "trip-canary") is None


async def test_no_selector_of_the_stable_pods_finds_the_canarys(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    assert len(pods(shop, "app=trip")) == 2
    [pod] = pods(shop, f"{SLOT}=canary")
    labels = pod["metadata"]["labels"]
    assert (labels["app"], labels["team"]) == ("trip-canary", "trip-canary")  # No single label is in both selectors.
    slices = shop.api.get(f"/apis/discovery.k8s.io/v1/namespaces/{shop.name}/endpointslices")["items"]
    reached = {item["targetRef"]["name"] for found in slices for item in found.get("endpoints") or []}
    assert pod["metadata"]["name"] not in reached
    assert len(reached) == 2


async def test_a_copy_carries_nobodys_tracking_mark(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    metadata = deployment(shop, "trip-canary")["metadata"]
    assert set(metadata["labels"]) == {"app", "team", "app.kubernetes.io/managed-by", SLOT, TARGET}
    ours = {name for name in metadata["annotations"] if "headgate.dev/" in name}
    assert set(metadata["annotations"]) - ours == {"deployment.kubernetes.io/revision"}
    assert "ownerReferences" not in metadata


async def test_the_users_own_strategy_and_size_are_back_in_the_end(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    before = deployment(shop)["spec"]
    result = await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2, max_surge=2)
    assert result.state.is_purely(V2.digest)
    assert deployment(shop)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}
    await settle(world, run, target, claim)
    after = deployment(shop)["spec"]
    assert {**after, "template": None} == {**before, "template": None}
    assert after["template"]["spec"]["containers"][0]["image"] == "registry.test/trip:v2"


@pytest.mark.parametrize("moment", ["before the promotion", "after it", "without one"])
async def test_an_update_strategy_that_the_user_writes_in_mid_release_stays(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace, *, moment: str
) -> None:
    other = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "30%"}}
    if moment == "after it":
        await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2, max_surge=2)
    shop.merge("apps/v1/deployments/trip", {"spec": {"strategy": other}})
    if moment == "before the promotion":
        await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2, max_surge=2)
        assert deployment(shop)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}
    await settle(world, run, target, claim)
    assert deployment(shop)["spec"]["strategy"] == other


async def test_an_undo_restores_the_deployment_to_the_letter(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    old = old_of(await run.call(world.targets.find_mark, target))
    before = deployment(shop)
    await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2)
    undo = await world.capture_undo(run, target)
    result = await world.deploy(run, target, undo, slot="stable", template=old, replicas=2)
    assert result.state.is_purely(old.digest)
    await settle(world, run, target, undo)
    assert deployment(shop)["spec"] == before["spec"]
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(shop, "app=trip")} == {"registry.test/trip:v0"}


async def test_the_old_version_can_stand_by_in_the_canary_slot(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    old = old_of(await run.call(world.targets.find_mark, target))
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=2)
    await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2)
    standby = await world.deploy(
        run, target, claim, slot="canary", template=old, replicas=2, max_surge=0, max_unavailable=2
    )
    assert standby.state.is_purely(old.digest)
    [owner] = {pod["metadata"]["labels"]["app"] for pod in pods(shop, f"{SLOT}=canary")}
    assert owner == "trip-canary"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("v2-missing", ["registry.test/trip:v2-missing", "cannot be pulled"]),
        ("v2-crash", ["ended with status"]),
        ("v2-unready", ["runs, but is not ready"]),
    ],
)
async def test_what_blocks_is_said_in_one_sentence(
    world: World, run: Run, target: Target, claim: Claim, *, image: str, words: list[str]
) -> None:
    result = await tried(world, run, target, claim, image, seconds=4)
    assert not result.ready
    assert result.message.startswith(f"0 of 1 pods of {image} in trip-canary are ready; ")
    assert all(word in result.message for word in words), result.message


async def test_what_cannot_be_scheduled_says_why(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    spec = deployment(shop)["spec"]["template"]
    spec["spec"]["nodeSelector"] = {"disk": "none"}
    template = Template(version="v2", digest="d", body={"pod": spec})
    deploy = DeployRequest(target=target, claim=claim, slot="canary", template=template, replicas=1)
    await run.call(world.workloads.deploy, deploy)
    wait = WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=1, timeout_seconds=3)
    result = await run.call(world.workloads.wait_ready, wait)
    assert "has no node: " in result.message
    assert "selector" in result.message


async def test_a_quota_that_is_used_up_says_so(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    shop.apply("v1", "ResourceQuota", "small", spec={"hard": {"pods": "2"}})
    await waiting(lambda: (shop.get("v1/resourcequotas/small").get("status") or {}).get("used"))
    result = await tried(world, run, target, claim, "v2", seconds=5)
    assert "no more pods can be made" in result.message
    assert "exceeded quota: small" in result.message


async def test_a_release_without_room_for_one_more_pod_is_undone_without_it(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    shop.apply("v1", "ResourceQuota", "small", spec={"hard": {"pods": "2"}})
    await waiting(lambda: (shop.get("v1/resourcequotas/small").get("status") or {}).get("used"))
    pace = {"max_surge": 0, "max_unavailable": 1}
    assert (await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2, **pace)).ready
    mark = await run.call(world.targets.find_mark, target)
    assert mark
    await undo(world, run, mark)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(shop, "app=trip")} == {"registry.test/trip:v0"}


async def test_waiting_watches_and_does_not_poll(world: World, run: Run, target: Target, claim: Claim) -> None:
    api: Api = world._clusters.get("local")
    await tried(world, run, target, claim, "v2-unready", seconds=3)
    before = api.calls.copy()
    wait = WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=1, timeout_seconds=6)
    await run.call(world.workloads.wait_ready, wait)
    made = api.calls - before
    assert (made["WATCH pods"], made["WATCH deployments"]) == (1, 1)
    assert made["LIST pods"] <= 3
    beats = [beat[0] for beat in run.heartbeats[-3:]]
    assert all(later - sooner <= 3 for sooner, later in pairwise(beats))


async def test_endpoints_are_the_ready_pods_with_their_port(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    provider = world.providers.get("kubernetes")
    found = await provider.endpoints(target, "stable")
    addresses = {f"{pod['status']['podIP']}:8080" for pod in pods(shop, "app=trip")}
    assert {endpoint.address for endpoint in found} == addresses
    assert {endpoint.version for endpoint in found} == {"v0"}
    other = target.model_copy(update={"workload": target.workload | {"port": 9797}})
    assert {e.address.rpartition(":")[2] for e in await provider.endpoints(other, "stable")} == {"9797"}
    await tried(world, run, target, claim, "v2-unready", seconds=2)
    assert await provider.endpoints(target, "canary") == []


async def test_a_template_that_somebody_else_changes_stops_the_release_and_not_the_undo(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    shop.deployment(replicas=2, image="hotfix", strategy=STRATEGY)
    for slot in SLOTS:
        with pytest.raises(ForeignChange, match="somebody else changed it"):
            await world.deploy(run, target, claim, slot=slot, template=V2, replicas=2)
    acquired = await run.call(world.targets.acquire, AcquireRequest(target=target))
    assert acquired.claim
    old = old_of(acquired.mark)
    assert (await world.deploy(run, target, acquired.claim, slot="stable", template=old, replicas=2)).ready


@pytest.mark.parametrize("slot", SLOTS)
async def test_a_template_that_somebody_else_changes_is_noticed_at_once_and_put_back(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace, *, slot: Slot
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    name = "trip" if slot == "stable" else "trip-canary"
    ours = deployment(shop, name)["spec"]["template"]
    async with noticing(world, target) as change:
        edit(shop, name, {"image": "registry.test/trip:hotfix", "env": [{"name": "KEY", "value": "s3cret"}]})
        found = await change
    assert found.field == f"Deployment {shop.name}/{name}: /spec/template"
    assert "(was registry.test/trip:" in str(found)
    assert "is registry.test/trip:hotfix)" in str(found)
    assert "/spec/containers/0/env" in str(found)
    assert "s3cret" not in str(found)
    await run.call(world.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert deployment(shop, name)["spec"]["template"] == ours
    wait = WaitReadyRequest(target=target, claim=claim, slot=slot, replicas=1 + (slot == "stable"), timeout_seconds=20)
    assert (await run.call(world.workloads.wait_ready, wait)).ready


async def test_a_slot_never_counts_as_ready_with_somebody_elses_template(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    edit(shop, "trip-canary", {"image": "registry.test/trip:hotfix"})
    wait = WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=1, timeout_seconds=20)
    with pytest.raises(ForeignChange, match="hotfix"):
        await run.call(world.workloads.wait_ready, wait)


def resize(shop: Namespace, name: str, replicas: int) -> None:
    """Somebody, or an autoscaler, scales a Deployment."""
    path = f"/apis/apps/v1/namespaces/{shop.name}/deployments/{name}/scale"
    shop.api.request("PATCH", path, {"spec": {"replicas": replicas}}, kind="application/merge-patch+json")


@pytest.mark.parametrize("slot", SLOTS)
async def test_a_number_of_pods_that_somebody_else_changes_is_noticed_and_put_back(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace, *, slot: Slot
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=2)
    name = "trip" if slot == "stable" else "trip-canary"
    scale = ScaleRequest(target=target, claim=claim, slot="canary", replicas=1)
    await run.call(world.workloads.scale, scale.model_copy(update={"replicas": 2}))
    async with noticing(world, target) as change:
        resize(shop, name, 3)
        found = await change
    assert found.field == f"Deployment {shop.name}/{name}: /spec/replicas"
    assert str(found).startswith(f"{found.field} was 2 and is 3;")
    with pytest.raises(ForeignChange, match="was 2 and is 3"):
        await run.call(world.workloads.scale, scale)
    await run.call(world.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert deployment(shop, name)["spec"]["replicas"] == 2
    await run.call(world.workloads.scale, scale)


async def test_what_an_autoscaler_does_and_what_a_status_says_is_no_foreign_change(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trip"}
    shop.apply(
        "autoscaling/v2", "HorizontalPodAutoscaler", "late", spec={"scaleTargetRef": reference, "maxReplicas": 9}
    )
    async with noticing(world, target) as change:
        resize(shop, "trip", 3)
        await waiting(lambda: deployment(shop)["status"].get("availableReplicas") == 3)
        assert not change.done()


async def test_a_canary_that_somebody_else_changed_can_still_be_taken_away(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    edit(shop, "trip-canary", {"image": "registry.test/trip:hotfix"})
    await world.retire(run, target, claim)
    assert deployment(shop, "trip-canary") is None


async def test_a_canary_that_a_superseded_run_made_too_late_is_taken_over(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    late = deployment(shop, "trip-canary")
    await world.retire(run, target, claim)
    undo = await world.capture_undo(run, target)
    metadata = {name: late["metadata"][name] for name in ("labels", "annotations")}
    shop.apply("apps/v1", "Deployment", "trip-canary", metadata=metadata, spec=late["spec"])
    with pytest.raises(Fenced):
        await world.retire(run, target, claim)
    await world.retire(run, target, undo)
    assert deployment(shop, "trip-canary") is None


@pytest.mark.parametrize("replicas", [0, 1])
async def test_a_users_own_workload_of_the_canarys_name_is_neither_claimed_nor_deleted(
    world: World, run: Run, target: Target, shop: Namespace, *, replicas: int
) -> None:
    shop.deployment("trip-canary", replicas=replicas)
    with pytest.raises(Rejected, match=r"Deployment test-\w+/trip-canary is there already and is not Headgate's"):
        await world.capture(run, target)
    assert await run.call(world.targets.find_mark, target) is None
    for name in ("trip", "trip-canary"):
        assert "fence.headgate.dev" not in str(deployment(shop, name)["metadata"]), name


async def test_a_users_own_workload_that_takes_the_canarys_name_in_mid_release_stays_through_the_undo(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    shop.deployment("trip-canary", replicas=1)
    theirs = deployment(shop, "trip-canary")["spec"]
    with pytest.raises(Rejected, match="needs its name"):
        await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    acquired = await run.call(world.targets.acquire, AcquireRequest(target=target))
    assert acquired.claim
    assert acquired.step is None
    await world.retire(run, target, acquired.claim)
    assert deployment(shop, "trip-canary")["spec"] == theirs


def hang(shop: Namespace, pod: Any) -> None:
    """What the API server shows of a pod whose node is not heard of any more: not ready, and ended by nobody."""
    path = f"/api/v1/namespaces/{shop.name}/pods/{pod['metadata']['name']}"
    change = {"metadata": {"finalizers": ["test.headgate.dev/hung"]}}
    shop.api.request("PATCH", path, change, kind="application/merge-patch+json")
    status = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    shop.api.request("PATCH", f"{path}/status", status, kind="application/strategic-merge-patch+json")


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are given up after a moment."""
    monkeypatch.setattr("activities.clusters.kubernetes.pods.OVERDUE", 2)


@pytest.mark.usefixtures("hung")
async def test_a_pod_that_a_hung_node_never_ends_keeps_no_slot_from_being_ready(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    evicted = pods(shop, "app=trip")[0]
    hang(shop, evicted)
    name = evicted["metadata"]["name"]
    shop.api.request("DELETE", f"/api/v1/namespaces/{shop.name}/pods/{name}", {"gracePeriodSeconds": 1})
    wait = WaitReadyRequest(target=target, claim=claim, slot="stable", replicas=2, timeout_seconds=20)
    result = await run.call(world.workloads.wait_ready, wait)
    assert result.ready, result.message
    assert name in {pod["metadata"]["name"] for pod in pods(shop, "app=trip")}, "nobody deletes it by force"


@pytest.mark.usefixtures("hung")
async def test_a_pod_that_a_hung_node_never_ends_keeps_no_canary(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    hang(shop, pods(shop, f"{SLOT}=canary")[0])
    await world.retire(run, target, claim)
    assert deployment(shop, "trip-canary") is None
    assert (await run.call(world.targets._inspect, target)).slot("canary").is_empty


async def test_a_retirement_that_takes_long_says_who_has_not_left_and_goes_on_when_asked_again(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.workloads.kubernetes.PATIENCE", 1)
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    [pod] = pods(shop, f"{SLOT}=canary")
    hang(shop, pod)
    message = f"1 pods of trip-canary still run; pod {pod['metadata']['name']} on {pod['spec']['nodeName']} was to stop"
    with pytest.raises(NotReady, match=message):
        await world.retire(run, target, claim)
    path = f"/api/v1/namespaces/{shop.name}/pods/{pod['metadata']['name']}"
    shop.api.request("PATCH", path, {"metadata": {"finalizers": None}}, kind="application/merge-patch+json")
    await world.retire(run, target, claim)
    assert deployment(shop, "trip-canary") is None


class Dying:
    """An API server that is lost after so many calls."""

    def __init__(self, api: Api, calls: int) -> None:
        self._send = api._send
        self._left = calls
        self.died = False

    async def send(self, call: Any) -> Any:
        if self._left <= 0:
            self.died = True
            raise Unavailable("the worker died here")
        self._left -= 1
        return await self._send(call)


@pytest.mark.parametrize("slot", ["stable", "canary"])
async def test_a_deploy_that_dies_anywhere_is_finished_by_the_next_attempt(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace, *, slot: Slot
) -> None:
    api = world._clusters.get("local")
    send = api._send
    for calls in range(30):
        template = a_template(f"v{calls}")
        deploy = DeployRequest(target=target, claim=claim, slot=slot, template=template, replicas=1)
        dying = Dying(api, calls)
        api._send = dying.send  # type: ignore[method-assign]
        try:
            await run.call(world.workloads.deploy, deploy)
        except (Unavailable, ExceptionGroup):
            assert dying.died
        api._send = send  # type: ignore[method-assign]
        state = (await run.call(world.workloads.deploy, deploy)).state
        assert state.template
        assert (state.template.digest, state.template.version) == (template.digest, template.version)
        wait = WaitReadyRequest(target=target, claim=claim, slot=slot, replicas=1, timeout_seconds=20)
        assert (await run.call(world.workloads.wait_ready, wait)).state.is_purely(template.digest)
        if not dying.died:
            return
        if slot == "canary":
            await world.retire(run, target.model_copy(update={"drain_seconds": 0}), claim)
    pytest.fail("a deploy takes more calls than it should")


async def test_a_settle_that_dies_anywhere_is_finished_by_the_next_attempt(
    world: World, run: Run, target: Target, shop: Namespace
) -> None:
    api = world._clusters.get("local")
    send, own = api._send, deployment(shop)["spec"]["strategy"]
    for calls in range(12):
        claim = await world.capture(run, target)
        template = a_template(f"w{calls}")
        await world.deploy(run, target, claim, slot="stable", template=template, replicas=2, max_surge=2)
        dying = Dying(api, calls)
        api._send = dying.send  # type: ignore[method-assign]
        try:
            await settle(world, run, target, claim)
        except (Unavailable, ExceptionGroup):
            assert dying.died
        api._send = send  # type: ignore[method-assign]
        await settle(world, run, target, claim)
        assert deployment(shop)["spec"]["strategy"] == own
        assert await run.call(world.targets.find_mark, target) is None
        if not dying.died:
            return
    pytest.fail("a settle takes more calls than it should")


async def test_a_failing_probe_is_quoted(world: World, run: Run, target: Target, claim: Claim, shop: Namespace) -> None:
    await tried(world, run, target, claim, "v2-unready", seconds=1)
    [pod] = pods(shop, f"{SLOT}=canary")
    involved = {"kind": "Pod", "namespace": shop.name, "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    message = "Readiness probe failed: HTTP probe failed with statuscode: 503"
    shop.apply("v1", "Event", "probe", involvedObject=involved, reason="Unhealthy", message=message)
    wait = WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=1, timeout_seconds=1)
    result = await run.call(world.workloads.wait_ready, wait)
    assert f"; it last said: {message} (waited" in result.message


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")
async def test_what_kubectl_rolls_back_to_is_known_as_the_version_that_it_was(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    """It puts a ReplicaSet's annotations back with its template, and so our notes as they were then."""
    await world.deploy(run, target, claim, slot="stable", template=V1, replicas=2)
    await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2)
    await settle(world, run, target, claim)
    command = ["kubectl", "--kubeconfig", str(shop.kubeconfig), "-n", shop.name, "rollout", "undo", "deployment/trip"]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    template = (await run.call(world.targets._inspect, target)).slot("stable").template
    assert template
    assert (template.version, template.digest) == ("v1", V1.digest)


async def test_a_drain_that_was_begun_is_not_begun_again(world: World, run: Run, target: Target, claim: Claim) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    request = RetireRequest(target=target, claim=claim, slot="canary", drain_seconds=60)
    started = time.monotonic()
    await run.call(world.workloads.retire, request, resumed_from=59.5)
    assert time.monotonic() - started < 20


async def test_what_users_have_left_serves_until_its_drain_is_over_and_once_only(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await waiting(lambda: deployment(shop)["status"].get("availableReplicas") == 2)
    wish = {"target": target, "claim": claim, "slot": "stable", "drain_seconds": 60}
    for call in (
        partial(run.call, world.workloads.deploy, DeployRequest.model_validate(wish | {"template": V2, "replicas": 2})),
        partial(run.call, world.workloads.scale, ScaleRequest.model_validate(wish | {"replicas": 0})),
    ):
        before = deployment(shop)["spec"]
        run.heartbeats.clear()
        draining = asyncio.create_task(call(resumed_from=55))
        await waiting(lambda: run.heartbeats)
        assert deployment(shop)["spec"] == before
        await draining
        assert deployment(shop)["spec"] != before
        started = time.monotonic()
        await call()
        assert time.monotonic() - started < 20


async def test_a_rollback_later_brings_the_whole_pod_template_back(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2)
    release = {"target": target, "environment": "test", "release": "trip", "version": "v2"}
    await settle(world, run, target, claim, Promoted.model_validate({**release, "template": V2}))
    [kept] = (await world.providers.get("kubernetes").record(target)).kept
    assert kept.template.digest == V2.digest
    assert kept.template.body == {"pod": deployment(shop)["spec"]["template"]}


async def test_marks_are_found_by_whoever_looks_for_our_secrets(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    secret = shop.get("v1/secrets/headgate-deployment-trip")
    assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "headgate"
    mark = record_in(secret).mark
    assert mark
    assert mark.release == a_release()
    assert len(await run.call(world.targets.find_marks)) == 1


async def test_a_damaged_record_hides_no_other_and_stops_its_own_target(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    shop.apply("v1", "Secret", "headgate-deployment-trip", type="headgate.dev/record", data={"record": "AAAA"})
    assert await run.call(world.targets.find_marks) == []
    with pytest.raises(Rejected, match="holds no record that can be read"):
        await run.call(world.targets.find_mark, target)


async def test_two_versions_never_meet_where_the_deployment_says_so(
    world: World, run: Run, target: Target, shop: Namespace
) -> None:
    path = f"/apis/apps/v1/namespaces/{shop.name}/deployments/trip"
    change = [{"op": "replace", "path": "/spec/strategy", "value": {"type": "Recreate"}}]
    shop.api.request("PATCH", path, change, kind="application/json-patch+json")
    claim = await world.capture(run, target)
    for slot in ("stable", "canary"):
        with pytest.raises(Unsupported, match="recreate"):
            await world.deploy(run, target, claim, slot=slot, template=V2, replicas=2)
    exclusive = target.model_copy(update={"exclusive": True})
    for request in (
        ScaleRequest(target=exclusive, claim=claim, slot="stable", replicas=0, ready_within_seconds=20),
        ScaleRequest(target=exclusive, claim=claim, slot="stable", replicas=2, ready_within_seconds=20),
    ):
        assert (await run.call(world.workloads.scale, request)).ready
    assert (await world.deploy(run, exclusive, claim, slot="stable", template=V2, replicas=2)).ready
    await settle(world, run, target, claim)
    assert deployment(shop)["spec"]["strategy"] == {"type": "Recreate"}


async def test_a_deployment_that_is_not_there_is_named(world: World, run: Run, target: Target) -> None:
    nobody = target.model_copy(update={"workload": target.workload | {"deployment": "nobody"}})
    with pytest.raises(NotFound, match=r"Deployment test-\w+/nobody does not exist in cluster local"):
        await world.capture(run, nobody)


async def test_a_write_that_somebody_else_keeps_crossing_is_a_conflict(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    """Each of our reads is followed by a change of theirs, which fails the patch's test on what was read."""
    api = world._clusters.get("local")
    patch, turns = api.patch, iter(range(100, 200))

    async def crossed(*arguments: Any, **options: Any) -> Any:
        path = f"/apis/apps/v1/namespaces/{shop.name}/deployments/trip"
        change = [{"op": "replace", "path": "/spec/minReadySeconds", "value": next(turns)}]
        await asyncio.to_thread(shop.api.request, "PATCH", path, change, kind="application/json-patch+json")
        return await patch(*arguments, **options)

    api.patch = crossed  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="somebody else keeps writing it"):
        await run.call(world.workloads.scale, ScaleRequest(target=target, claim=claim, slot="stable", replicas=3))
    assert deployment(shop)["spec"]["replicas"] == 2


def test_a_record_fits_into_a_secret() -> None:
    assert LIMIT * 4 / 3 < 1024 * 1024
