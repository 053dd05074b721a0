"""Autoscalers of a Deployment: what a release must not lose to them, and what they get back."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiException

from activities.clusters.kubernetes.api import Object
from infra.testbed import crds
from infra.testbed.api import Api
from tests.activities.workloads.mortal import Moment, Request, carry_out
from tests.activities.workloads.test_kubernetes import Dying, old_of, settle, waiting
from tests.activities.world import Run, World, a_release, a_template
from tests.cluster import Namespace
from workflows.contracts.targets import Captured, CaptureRequest, SettleRequest
from workflows.contracts.workloads import DeployRequest, ScaleRequest
from workflows.errors import Fenced, Unavailable
from workflows.model.target import Claim, Target

pytestmark = pytest.mark.cluster

V2 = a_template("v2")
HPA = "autoscaling/v2/horizontalpodautoscalers/trip"
KEDA = "keda.sh/v1alpha1/scaledobjects/trip"
REFERENCE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trip"}
TRIGGER = {"type": "rabbitmq", "metadata": {"queueName": "ai", "mode": "QueueLength", "value": "20"}}


@pytest.fixture(scope="session")
def scaling_kubeconfig(kubeconfig: Path) -> Path:
    """The test bed's API server with KEDA's kinds, and nobody who serves them."""
    api = Api(kubeconfig)
    crds.install(api, ("keda",))
    while True:
        with suppress(ApiException):  # A kind that was just made known says that its storage is being initialized.
            api.get("/apis/keda.sh/v1alpha1/scaledobjects")
            return kubeconfig
        time.sleep(0.1)


@pytest.fixture
async def shop(world: World, scaling_kubeconfig: Path) -> AsyncIterator[Namespace]:
    world.kinds = ("kubernetes", "none")
    async with world.kubernetes(scaling_kubeconfig, replicas=4) as namespace:
        await waiting(lambda: (deployment(namespace).get("status") or {}).get("availableReplicas") == 4)
        yield namespace


@pytest.fixture
def target(world: World, shop: Namespace) -> Target:
    return world.target()


@pytest.fixture
def run(world: World) -> Run:
    return world.run()


@pytest.fixture
def hpa(shop: Namespace) -> Callable[[], Object]:
    """An HPA between 2 and 9, as it is now."""
    scale(shop)
    return lambda: shop.get(HPA)


@pytest.fixture
def keda(shop: Namespace) -> Callable[[], Object]:
    """A ScaledObject between 0 and 9, as it is now."""
    scale_by_keda(shop)
    return lambda: shop.get(KEDA)


def deployment(shop: Namespace, name: str = "trip") -> Any:
    return shop.get(f"apps/v1/deployments/{name}")


def scale(shop: Namespace, name: str = "trip", **spec: Any) -> None:
    spec = {"scaleTargetRef": REFERENCE, "minReplicas": 2, "maxReplicas": 9, **spec}
    metadata = spec.pop("metadata", {})
    shop.apply("autoscaling/v2", "HorizontalPodAutoscaler", name, metadata=metadata, spec=spec)


def scale_by_keda(shop: Namespace, **spec: Any) -> None:
    spec = {"scaleTargetRef": {"name": "trip"}, "maxReplicaCount": 9, "triggers": [TRIGGER], **spec}
    shop.apply("keda.sh/v1alpha1", "ScaledObject", "trip", spec=spec)


def resize(shop: Namespace, number: int) -> None:
    """Writes the scale of the Deployment, as an autoscaler does."""
    path = f"/apis/apps/v1/namespaces/{shop.name}/deployments/trip/scale"
    shop.api.request("PATCH", path, {"spec": {"replicas": number}}, kind="application/merge-patch+json")


def minimum(hpa: Object) -> int:
    return int(hpa["spec"]["minReplicas"])


def is_bare(found: Object) -> bool:
    """Whether nothing but our fence was left on it."""
    annotations = found["metadata"].get("annotations") or {}
    return all(name.startswith("fence.headgate.dev/") for name in annotations)


async def test_the_minimum_is_the_captured_size_until_the_end(
    world: World, run: Run, target: Target, shop: Namespace, hpa: Callable[[], Object]
) -> None:
    before = hpa()
    claim = await world.capture(run, target)
    assert minimum(hpa()) == 4
    undo = await world.capture_undo(run, target)
    assert minimum(hpa()) == 4
    with pytest.raises(Fenced):
        await settle(world, run, target, claim)
    await settle(world, run, target, undo)
    assert hpa()["spec"] == before["spec"]
    assert is_bare(hpa())


async def test_a_real_controller_brings_back_what_somebody_took_from_stable(
    world: World, run: Run, target: Target, shop: Namespace, hpa: Callable[[], Object]
) -> None:
    """The controller manager has no metrics here, and keeps to the bounds all the same."""
    await world.capture(run, target)
    resize(shop, 1)
    await waiting(lambda: deployment(shop)["spec"]["replicas"] == 4, seconds=60)


async def test_a_minimum_that_is_high_enough_is_left_alone(
    world: World, run: Run, target: Target, shop: Namespace
) -> None:
    scale(shop, minReplicas=4)
    before = shop.get(HPA)["spec"]
    claim = await world.capture(run, target)
    assert shop.get(HPA)["spec"] == before
    await settle(world, run, target, claim)
    assert shop.get(HPA)["spec"] == before


async def test_what_somebody_changed_meanwhile_stays_theirs(
    world: World, run: Run, target: Target, shop: Namespace, hpa: Callable[[], Object]
) -> None:
    claim = await world.capture(run, target)
    scale(shop, minReplicas=7)
    await settle(world, run, target, claim)
    assert minimum(hpa()) == 7


@pytest.mark.parametrize("again", [False, True], ids=["gone", "made anew"])
async def test_an_autoscaler_that_goes_meanwhile_stops_nobody(
    world: World, run: Run, target: Target, shop: Namespace, hpa: Callable[[], Object], *, again: bool
) -> None:
    claim = await world.capture(run, target)
    shop.api.request("DELETE", f"/apis/autoscaling/v2/namespaces/{shop.name}/horizontalpodautoscalers/trip")
    if again:
        scale(shop, minReplicas=3)
    await settle(world, run, target, claim)
    assert (minimum(hpa()) if again else hpa()) == (3 if again else None)


async def test_only_those_of_the_deployment_itself_are_held(
    world: World, run: Run, target: Target, shop: Namespace
) -> None:
    """KEDA writes its HPA anew from its ScaledObject, so that one is never ours to change."""
    scale_by_keda(shop)
    uid = shop.get(KEDA)["metadata"]["uid"]
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "trip", "uid": uid, "controller": True}
    scale(shop, "keda-hpa-trip", metadata={"ownerReferences": [owner]})
    scale(shop, "other", scaleTargetRef={**REFERENCE, "name": "other"})
    scale(shop, "stateful", scaleTargetRef={**REFERENCE, "kind": "StatefulSet"})
    captured = await capture(world, run, target)
    assert [found.label for found in captured.baseline.autoscalers] == ["ScaledObject trip"]
    for name in ("keda-hpa-trip", "other", "stateful"):
        found = shop.get(f"autoscaling/v2/horizontalpodautoscalers/{name}")
        assert (minimum(found), found["metadata"].get("annotations")) == (2, None)


async def test_keda_keeps_the_captured_size_and_does_not_idle(
    world: World, run: Run, target: Target, shop: Namespace
) -> None:
    scale_by_keda(shop, minReplicaCount=1, idleReplicaCount=0)
    before = shop.get(KEDA)
    claim = await world.capture(run, target)
    spec = shop.get(KEDA)["spec"]
    assert (spec["minReplicaCount"], "idleReplicaCount" in spec) == (4, False)
    await settle(world, run, target, claim)
    assert shop.get(KEDA)["spec"] == before["spec"]
    assert is_bare(shop.get(KEDA))


async def test_keda_pauses_while_nothing_may_run(
    world: World, run: Run, target: Target, shop: Namespace, keda: Callable[[], Object]
) -> None:
    before = keda()
    alone = target.model_copy(update={"exclusive": True})
    claim = await world.capture(run, alone)
    assert keda()["metadata"]["annotations"]["autoscaling.keda.sh/paused"] == "true"
    assert keda()["spec"] == before["spec"]
    await settle(world, run, alone, claim)
    assert is_bare(keda())


async def test_keda_pauses_for_what_was_scaled_to_nothing(
    world: World, run: Run, target: Target, shop: Namespace, keda: Callable[[], Object]
) -> None:
    resize(shop, 0)
    await waiting(lambda: not deployment(shop)["status"].get("replicas"))
    claim = await world.capture(run, target)
    assert keda()["metadata"]["annotations"]["autoscaling.keda.sh/paused"] == "true"
    await settle(world, run, target, claim)
    assert is_bare(keda())


async def test_metrics_beyond_the_pods_are_known(world: World, run: Run, target: Target, shop: Namespace) -> None:
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
    each = {"type": "AverageValue", "averageValue": "20"}
    pods = {"type": "Pods", "pods": {"metric": {"name": "sessions"}, "target": each}}
    queue = {"type": "External", "external": {"metric": {"name": "queue_length"}, "target": each}}
    scale(shop, metrics=[cpu, pods, queue])
    scale_by_keda(shop)
    found = (await capture(world, run, target)).baseline.autoscalers
    assert {one.kind: one.shared for one in found} == {
        "HorizontalPodAutoscaler": ("queue_length",),
        "ScaledObject": ("rabbitmq",),
    }


async def capture(world: World, run: Run, target: Target) -> Captured:
    request = CaptureRequest(target=target, release=a_release(), template=V2)
    return await run.call(world.targets.capture, request)


async def test_a_share_follows_stable_and_is_never_taken_back(
    world: World, run: Run, target: Target, shop: Namespace, hpa: Callable[[], Object]
) -> None:
    claim = await world.capture(run, target)
    deploy = DeployRequest(
        target=target, claim=claim, slot="canary", template=V2, replicas=1, share=25, ready_within_seconds=20
    )
    assert (await run.call(world.workloads.deploy, deploy)).state.replicas == 1

    async def scaled(share: float, least: int) -> int:
        wish = {"slot": "canary", "replicas": least, "share": share, "ready_within_seconds": 20}
        request = ScaleRequest.model_validate({"target": target, "claim": claim, **wish})
        return (await run.call(world.workloads.scale, request)).state.ready[V2.digest]

    resize(shop, 8)
    assert [await scaled(25, 1), await scaled(50, 2), await scaled(50, 6)] == [2, 4, 6]
    resize(shop, 4)
    assert await scaled(50, 1) == 6


async def test_what_an_autoscaler_made_of_stable_is_no_foreign_change_and_stays(
    world: World, run: Run, target: Target, shop: Namespace, hpa: Callable[[], Object]
) -> None:
    claim = await world.capture(run, target)
    old = old_of(await run.call(world.targets.find_mark, target))
    resize(shop, 7)
    wish = {"slot": "stable", "replicas": 4, "share": 100, "max_surge": 2, "ready_within_seconds": 30}
    made = DeployRequest.model_validate({"target": target, "claim": claim, "template": V2, **wish})
    result = await run.call(world.workloads.deploy, made)
    assert result.ready, result.message
    assert result.state.replicas == 7
    undo = await world.capture_undo(run, target)
    result = await run.call(world.workloads.deploy, made.model_copy(update={"claim": undo, "template": old}))
    assert (result.ready, result.state.replicas) == (True, 7)
    assert deployment(shop)["spec"]["replicas"] == 7


@pytest.mark.parametrize("act", ["capture", "settle"])
async def test_a_write_that_dies_anywhere_is_finished_by_the_next_attempt(
    world: World, run: Run, target: Target, shop: Namespace, hpa: Callable[[], Object], *, act: str
) -> None:
    api = world._clusters.get("local")
    send, before = api._send, hpa()["spec"]

    async def tried(dying: Dying, step: Callable[[], Any]) -> None:
        api._send = dying.send  # type: ignore[method-assign]
        try:
            await step()
        except (Unavailable, ExceptionGroup):
            assert dying.died
        api._send = send  # type: ignore[method-assign]

    for calls in range(60):
        dying, claim = Dying(api, calls), None

        async def settled(claim: Claim | None = None) -> None:
            claim = claim or (await capture(world, run, target)).claim
            assert claim
            await settle(world, run, target, claim)

        if act == "capture":
            await tried(dying, lambda: capture(world, run, target))
        claim = (await capture(world, run, target)).claim
        assert minimum(hpa()) == 4, calls
        if act == "settle":
            await tried(dying, lambda claim=claim: settle(world, run, target, claim))  # type: ignore[misc]
        await settled(claim)
        assert hpa()["spec"] == before, calls
        if not dying.died:
            return
    pytest.fail("it takes more calls than it should")


async def killed(world: World, shop: Namespace, run: Run, request: Request, moment: Moment) -> bool:
    """Whether a worker that carries this out was killed at its write to the autoscaler."""
    arguments = (world.directory, shop.kubeconfig, (run.workflow_id, run.run_id), request, moment)
    worker = multiprocessing.get_context("forkserver").Process(target=carry_out, args=arguments)
    worker.start()
    await asyncio.to_thread(worker.join)
    return worker.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("kind", "field"), [("hpa", "minReplicas"), ("keda", "minReplicaCount")])
async def test_whoever_comes_after_a_worker_that_was_killed_at_its_write_ends_with_the_users_own_bounds(  # noqa: PLR0917
    world: World,
    run: Run,
    target: Target,
    shop: Namespace,
    kind: str,
    field: str,
    moment: Moment,
    request: pytest.FixtureRequest,
) -> None:
    scaler: Callable[[], Object] = request.getfixturevalue(kind)
    before = scaler()["spec"]
    capture = CaptureRequest(target=target, release=a_release(), template=V2)
    assert await killed(world, shop, run, capture, moment)
    assert scaler()["spec"].get(field) == (4 if moment == "after" else before.get(field))
    claim = await world.capture(run, target)
    assert scaler()["spec"][field] == 4
    end = SettleRequest(target=target, claim=claim)
    assert await killed(world, shop, run, end, moment)
    assert scaler()["spec"].get(field) == (before.get(field) if moment == "after" else 4)
    await run.call(world.targets.settle, end)
    assert scaler()["spec"] == before
    assert await run.call(world.targets.find_mark, target) is None
