"""StatefulSets and DaemonSets: replaced in place at their own controller's pace, and restored to the letter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.activities.workloads.test_kubernetes import Dying, old_of, pods, settle, waiting
from tests.activities.world import Run, World, a_template
from tests.cluster import Namespace
from workflows.contracts.targets import TakeOverRequest
from workflows.contracts.workloads import DeployRequest, ReadyResult, WaitReadyRequest
from workflows.errors import Fenced, ForeignChange, NotFound, Unavailable, Unsupported
from workflows.model.target import Claim, Target, Template

pytestmark = pytest.mark.cluster

V2 = a_template("v2")


class Sort(NamedTuple):
    """One of the two kinds, as a team has it."""

    kind: str
    field: str
    spec: dict[str, Any]
    available: str


@dataclass(frozen=True)
class Shop:
    """A namespace with one of them."""

    namespace: Namespace
    sort: Sort

    def write(self, **spec: Any) -> None:
        """Writes it as a team would."""
        self.namespace.workload(self.sort.kind, **{**self.sort.spec, **spec})

    @property
    def found(self) -> Any:
        return self.namespace.get(f"apps/v1/{self.sort.kind.lower()}s/trip")

    @property
    def spec(self) -> Any:
        return self.found["spec"]

    @property
    def is_ready(self) -> bool:
        """Whether its controller has followed and all of it is available."""
        status = self.found.get("status") or {}
        size = self.spec.get("replicas") or status.get("desiredNumberScheduled")
        is_seen = status.get("observedGeneration") == self.found["metadata"]["generation"]
        return bool(is_seen and size and status.get(self.sort.available) == size)


STATEFUL_SET = Sort(
    "StatefulSet",
    "statefulSet",
    {"replicas": 3, "serviceName": "trip", "updateStrategy": {"type": "RollingUpdate"}},
    "availableReplicas",
)
DAEMON_SET = Sort(
    "DaemonSet",
    "daemonSet",
    {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}},
    "numberAvailable",
)


@pytest.fixture(params=[STATEFUL_SET, DAEMON_SET], ids=lambda sort: sort.kind)
def sort(request: pytest.FixtureRequest) -> Sort:
    found: Sort = request.param
    return found


@pytest.fixture
async def shop(world: World, kubeconfig: Path, sort: Sort) -> AsyncIterator[Shop]:
    """With a Deployment of the same name, which nothing may touch."""
    world.kinds = ("kubernetes", "none")
    async with world.kubernetes(kubeconfig, replicas=1) as namespace:
        shop = Shop(namespace, sort)
        shop.write()
        await waiting(lambda: shop.is_ready)
        yield shop


@pytest.fixture
def target(world: World, shop: Shop) -> Target:
    return world.target().model_copy(update={"workload": {"kind": "kubernetes", shop.sort.field: "trip"}})


@pytest.fixture
def run(world: World, target: Target) -> Run:
    return world.run(workflow_id=target.rollout_id)


@pytest.fixture
async def claim(world: World, run: Run, target: Target) -> Claim:
    return await world.capture(run, target)


async def replaced(
    world: World, run: Run, target: Target, claim: Claim, template: Template, *, seconds: float = 30, **pace: int
) -> ReadyResult:
    """The workload with another template, waited for."""
    size = (await run.call(world.targets._inspect, target)).slot("stable").replicas
    pace = pace or {"max_surge": 0, "max_unavailable": 1}
    deploy = DeployRequest(target=target, claim=claim, slot="stable", template=template, replicas=size, **pace)
    await run.call(world.workloads.deploy, deploy)
    wait = WaitReadyRequest(target=target, claim=claim, slot="stable", replicas=size, timeout_seconds=seconds)
    return await run.call(world.workloads.wait_ready, wait)


async def test_a_slot_is_read_with_its_revisions(world: World, run: Run, target: Target, shop: Shop) -> None:
    state = await run.call(world.targets._inspect, target)
    stable, canary = state.slot("stable"), state.slot("canary")
    assert stable.template
    assert (stable.template.version, canary.is_empty) == ("v0", True)
    assert stable.ready == {stable.template.digest: stable.replicas}
    assert stable.running == stable.replicas > 0


async def test_a_release_and_its_end_leave_all_but_the_images_as_it_was(
    world: World, run: Run, target: Target, claim: Claim, shop: Shop
) -> None:
    before, other = shop.spec, shop.namespace.get("apps/v1/deployments/trip")
    result = await replaced(world, run, target, claim, V2)
    assert result.ready, result.message
    assert result.state.is_purely(V2.digest)
    await settle(world, run, target, claim)
    after = shop.spec
    assert after["template"]["spec"]["containers"][0]["image"] == "registry.test/trip:v2"
    assert {**after, "template": None} == {**before, "template": None}
    assert shop.namespace.get("apps/v1/deployments/trip")["metadata"].get("annotations") == other["metadata"].get(
        "annotations"
    )
    assert shop.namespace.get(f"v1/secrets/headgate-{shop.sort.kind.lower()}-trip")


async def test_versions_are_told_apart_while_they_are_replaced(
    world: World, run: Run, target: Target, claim: Claim, shop: Shop
) -> None:
    old = old_of(await run.call(world.targets.find_mark, target))
    bad = Template(version="bad", digest="bad", body={"images": {"": "registry.test/trip:v2-unready"}})
    result = await replaced(world, run, target, claim, bad, seconds=3)
    assert not result.ready
    assert result.message.startswith(f"0 of {result.state.replicas} pods of bad in trip are ready; "), result.message
    assert "runs, but is not ready" in result.message
    assert result.state.ready == {old.digest: result.state.replicas - 1}


async def test_an_undo_restores_the_template_although_a_broken_pod_stands_in_the_way(
    world: World, run: Run, target: Target, claim: Claim, shop: Shop
) -> None:
    """A StatefulSet alone would wait for its broken pod for ever."""
    before = shop.spec
    old = old_of(await run.call(world.targets.find_mark, target))
    bad = Template(version="bad", digest="bad", body={"images": {"": "registry.test/trip:v2-crash"}})
    assert not (await replaced(world, run, target, claim, bad, seconds=3)).ready
    undo = await world.capture_undo(run, target)
    result = await replaced(world, run, target, undo, old)
    assert result.ready, result.message
    await settle(world, run, target, undo)
    assert shop.spec == before
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(shop.namespace, "app=trip")} == {
        "registry.test/trip:v0"
    }


async def test_no_copy_stands_beside_it(world: World, run: Run, target: Target, claim: Claim, shop: Shop) -> None:
    deploy = DeployRequest(target=target, claim=claim, slot="canary", template=V2, replicas=1)
    with pytest.raises(
        Unsupported, match=f"{shop.sort.kind} .*/trip cannot have a copy beside it; release it with rolling"
    ):
        await run.call(world.workloads.deploy, deploy)


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({"type": "OnDelete"}, "has the update strategy OnDelete, so a person or an operator replaces its pods"),
        ({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, "has the partition 2, so somebody else"),
    ],
)
async def test_a_strategy_that_leaves_pods_to_somebody_else_is_refused(
    world: World, run: Run, target: Target, shop: Shop, *, strategy: dict[str, Any], words: str
) -> None:
    if shop.sort is DAEMON_SET and strategy["type"] != "OnDelete":
        pytest.skip("DaemonSets have no partition")
    shop.write(updateStrategy=strategy)
    before = shop.spec
    claim = await world.capture(run, target)
    with pytest.raises(Unsupported, match=words):
        await replaced(world, run, target, claim, V2)
    assert shop.spec == before


async def test_ports_of_nodes_leave_no_room_for_another_pod(world: World, run: Run, target: Target, shop: Shop) -> None:
    if shop.sort is STATEFUL_SET:
        pytest.skip("StatefulSets have no pods above their number")
    pod = shop.spec["template"]
    pod["spec"]["containers"][0]["ports"][0]["hostPort"] = 8080
    shop.write(template=pod, updateStrategy={"type": "RollingUpdate"})
    await waiting(lambda: shop.is_ready)
    claim = await world.capture(run, target)
    with pytest.raises(Unsupported, match="hostPort.*write maxUnavailable in place of maxSurge"):
        await replaced(world, run, target, claim, V2, max_surge=1, max_unavailable=0)
    assert (await replaced(world, run, target, claim, V2)).ready


async def test_a_daemonset_can_start_new_pods_before_old_ones_end(
    world: World, run: Run, target: Target, claim: Claim, shop: Shop
) -> None:
    if shop.sort is STATEFUL_SET:
        pytest.skip("StatefulSets have no pods above their number")
    result = await replaced(world, run, target, claim, V2, max_surge=1, max_unavailable=0)
    assert result.state.is_purely(V2.digest)
    assert shop.spec["updateStrategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


async def test_pods_that_may_not_be_made_say_why(world: World, run: Run, target: Target, shop: Shop) -> None:
    if shop.sort is DAEMON_SET:
        pytest.skip("a DaemonSet that lacks a pod is no baseline")
    shop.namespace.apply("v1", "ResourceQuota", "small", spec={"hard": {"pods": "1"}})
    await waiting(lambda: (shop.namespace.get("v1/resourcequotas/small").get("status") or {}).get("used"))
    claim = await world.capture(run, target)
    result = await replaced(world, run, target, claim, V2, seconds=6)
    assert "exceeded quota: small" in result.message


async def test_a_template_that_somebody_else_changes_stops_the_release(
    world: World, run: Run, target: Target, claim: Claim, shop: Shop
) -> None:
    shop.write(image="hotfix")
    what = rf"{shop.sort.kind} .*: /spec/template is not what the release wrote in .*/image \(was .*:v0, is .*:hotfix\)"
    with pytest.raises(ForeignChange, match=what):
        await replaced(world, run, target, claim, V2)
    await run.call(world.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert (await replaced(world, run, target, claim, V2)).ready


async def test_another_owner_is_fenced_off(world: World, run: Run, target: Target, claim: Claim, shop: Shop) -> None:
    await world.capture_undo(run, target)
    before = shop.spec
    with pytest.raises(Fenced, match=f"{shop.sort.kind} "):
        await replaced(world, run, target, claim, V2)
    assert shop.spec == before


async def test_a_deploy_that_dies_anywhere_is_finished_by_the_next_attempt(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    api = world._clusters.get("local")
    send = api._send
    for calls in range(12):
        template = a_template(f"v{calls}")
        deploy = DeployRequest(
            target=target, claim=claim, slot="stable", template=template, replicas=3, max_surge=0, max_unavailable=2
        )
        dying = Dying(api, calls)
        api._send = dying.send  # type: ignore[method-assign]
        try:
            await run.call(world.workloads.deploy, deploy)
        except (Unavailable, ExceptionGroup):
            assert dying.died
        api._send = send  # type: ignore[method-assign]
        result = await replaced(world, run, target, claim, template, max_surge=0, max_unavailable=2)
        assert result.state.is_purely(template.digest), result.message
        if not dying.died:
            return
    pytest.fail("a deploy takes more calls than it should")


async def test_one_that_is_not_there_is_named(world: World, run: Run, target: Target, shop: Shop) -> None:
    nobody = target.model_copy(update={"workload": {"kind": "kubernetes", shop.sort.field: "nobody"}})
    with pytest.raises(NotFound, match=rf"{shop.sort.kind} test-\w+/nobody does not exist in cluster local"):
        await world.capture(run, nobody)
