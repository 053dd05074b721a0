"""Releases on a real API server while Git's state is applied again and again, with self-heal and prune."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import APPLICATION, DAEMON_SET, DEPLOYMENT, STATEFUL_SET, Kind
from activities.clusters.kubernetes.resources import Resource
from activities.clusters.kubernetes.settings import ArgoCdSettings, KubernetesCluster, KubernetesSettings
from activities.gitops.argo_cd import TRUCE, ArgoCd
from activities.targets.activities import Targets
from activities.traffic.keeping import Keeping
from activities.traffic.registry import traffic_routers
from activities.workloads.activities import Workloads
from activities.workloads.registry import workload_providers
from infra.testbed import crds
from infra.testbed.api import Api as Writer
from tests.activities.world import Run, World, a_template
from tests.cluster import Namespace
from tests.gitops import StandIn
from workflows.contracts.targets import AcquireRequest, AwaitGitRequest, GitState, SettleRequest
from workflows.errors import Fenced, Unsupported
from workflows.model.target import Claim, Target

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

AUTOMATED = {"prune": True, "selfHeal": True}
SPECS: dict[Kind, dict[str, Any]] = {
    DEPLOYMENT: {
        "replicas": 2,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}},
    },
    STATEFUL_SET: {"replicas": 2, "serviceName": "trip", "updateStrategy": {"type": "RollingUpdate"}},
    DAEMON_SET: {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}},
}
"""What Git says of each kind beside its pods."""


@dataclass
class Shop:
    """A workload that Git names, an Application that applies it, and providers that know where Argo CD is."""

    world: World
    namespace: Namespace
    api: Api
    git: StandIn
    kind: Kind

    @property
    def target(self) -> Target:
        field = self.kind.name[0].lower() + self.kind.name[1:]
        return self.world.target().model_copy(update={"workload": {"kind": "kubernetes", field: "trip"}})

    @property
    def workload(self) -> Any:
        """As it is; empty before Git was applied."""
        return self.namespace.get(f"apps/v1/{self.kind.plural}/trip") or {}

    @property
    def is_ready(self) -> bool:
        """Whether all of its pods are."""
        status = self.workload.get("status", {})
        wanted = status.get("desiredNumberScheduled", self.workload.get("spec", {}).get("replicas"))
        return bool(wanted) and status.get("numberAvailable", status.get("availableReplicas")) == wanted

    def image(self) -> str:
        pod = self.workload["spec"]["template"]
        return str(pod["spec"]["containers"][0]["image"]).rpartition(":")[2]

    async def application(self) -> Object:
        return await self.api.get(APPLICATION, self.git.home, self.git.application)

    async def automated(self) -> Any:
        return ((await self.application())["spec"].get("syncPolicy") or {}).get("automated")

    def says(self, image: str) -> None:
        """Git names this image from now on."""
        container = {"name": "trip", "image": f"registry.test/trip:{image}", "ports": [{"containerPort": 8080}]}
        labels = {"app": "trip", "team": "trips"}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"selector": {"matchLabels": {"app": "trip"}}, "template": pod, **SPECS[self.kind]}
        self.git.commit(self.kind, "trip", {"metadata": {"labels": labels}, "spec": spec})

    async def replace(self, run: Run, claim: Claim) -> None:
        """The version after the one that Git names, everywhere."""
        size = (await run.call(self.world.targets._inspect, self.target)).slot("stable").replicas
        template, pace = a_template("v1"), {"max_surge": 0, "max_unavailable": 1} if self.target.is_in_place else {}
        ready = await self.world.deploy(
            run, self.target, claim, slot="stable", template=template, replicas=size, **pace
        )
        assert ready.ready, ready.message

    async def await_git(self, run: Run, claim: Claim, seconds: float) -> GitState:
        request = AwaitGitRequest(target=self.target, claim=claim, limit_seconds=seconds)
        return await run.call(self.world.targets.await_git, request)

    async def settle(self, run: Run, claim: Claim) -> None:
        await run.call(self.world.targets.settle, SettleRequest(target=self.target, claim=claim))


@asynccontextmanager
async def opened(world: World, kubeconfig: Path, kind: Kind = DEPLOYMENT, **spec: Any) -> AsyncIterator[Shop]:
    crds.install(Writer(kubeconfig), ("argo-cd",))
    namespace = Namespace(kubeconfig)
    cluster = KubernetesCluster(
        kubeconfig=kubeconfig, argo_cd=ArgoCdSettings(namespace=namespace.name), calls_per_second=500
    )
    clusters = Clusters(KubernetesSettings(clusters={"local": cluster}))
    world.kinds = ("kubernetes", "none")
    world._namespace = namespace
    world.providers = workload_providers(world.process, clusters)
    world.routers = traffic_routers(None, clusters)
    world.workloads = Workloads(world.providers, Keeping(world.routers))
    world.targets = Targets(world.providers, world.routers, world.runs, ArgoCd(clusters))
    own = Clusters(KubernetesSettings(clusters={"local": cluster}))
    stand_in = StandIn(own.get("local"), Writer(kubeconfig), "shop", namespace.name, namespace.name)
    shop = Shop(world, namespace, clusters.get("local"), stand_in, kind)
    shop.says("v0")
    destination = {"server": "https://kubernetes.default.svc", "namespace": namespace.name}
    source = {"repoURL": "https://git.test/shop", "path": "shop", "targetRevision": "main"}
    base = {"project": "default", "destination": destination, "source": source}
    namespace.apply(
        "argoproj.io/v1alpha1", "Application", "shop", spec={**base, "syncPolicy": {"automated": AUTOMATED}, **spec}
    )
    try:
        async with shop.git.running():
            await until(lambda: shop.is_ready)
            yield shop
    finally:
        await clusters.close()
        await own.close()
        namespace.close()


@asynccontextmanager
async def joined(shop: Shop, cluster: KubernetesCluster) -> AsyncIterator[None]:
    """From now on its worker has other settings."""
    clusters = Clusters(KubernetesSettings(clusters={"local": cluster}))
    shop.world.providers = workload_providers(shop.world.process, clusters)
    shop.world.targets = Targets(shop.world.providers, shop.world.routers, shop.world.runs, ArgoCd(clusters))
    yield
    await clusters.close()


@pytest.fixture
async def shop(world: World, kubeconfig: Path) -> AsyncIterator[Shop]:
    async with opened(world, kubeconfig) as made:
        yield made


@pytest.fixture(params=SPECS, ids=lambda kind: kind.name)
async def any_shop(world: World, kubeconfig: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    async with opened(world, kubeconfig, request.param) as made:
        yield made


async def until(fact: Callable[[], bool], *, seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(fact):  # noqa: ASYNC110 - a cluster sends no events here.
            await asyncio.sleep(0.1)


async def rounds(shop: Shop, count: int = 3) -> None:
    """Lets the controller compare, and sync where it may, so many times more."""
    for _ in range(count):
        await shop.git.round()


async def test_a_paused_sync_undoes_nothing_and_prunes_no_copy(shop: Shop) -> None:
    world, run = shop.world, shop.world.run("run-1")
    claim = await world.capture(run, shop.target)
    assert await shop.automated() is None

    ready = await world.deploy(run, shop.target, claim, slot="canary", template=a_template("v1"), replicas=1)
    assert ready.ready, ready.message
    await world.deploy(run, shop.target, claim, slot="stable", template=a_template("v1"), replicas=2)
    await rounds(shop)

    assert shop.image() == "v1"
    assert shop.git.pruned == []
    assert shop.namespace.get("apps/v1/deployments/trip-canary") is not None


async def test_a_copy_is_never_pruned_even_while_syncs_go_on(shop: Shop, kubeconfig: Path) -> None:
    world, run = shop.world, shop.world.run("run-1")
    claim = await world.capture(run, shop.target)
    await world.deploy(run, shop.target, claim, slot="canary", template=a_template("v1"), replicas=1)
    left = {"labels": {"app.kubernetes.io/instance": "shop"}}
    shop.namespace.apply("v1", "Service", "left", spec={"ports": [{"port": 80}]}, metadata=left)
    Writer(kubeconfig).request(
        "PATCH",
        f"/apis/argoproj.io/v1alpha1/namespaces/{shop.namespace.name}/applications/shop",
        {"spec": {"syncPolicy": {"automated": AUTOMATED}}},
        kind="application/merge-patch+json",
    )
    await rounds(shop)

    assert set(shop.git.pruned) == {"left"}
    assert shop.namespace.get("apps/v1/deployments/trip-canary") is not None


async def test_a_sync_goes_on_only_when_git_names_the_new_version(any_shop: Shop) -> None:
    world, run = any_shop.world, any_shop.world.run("run-1")
    claim = await world.capture(run, any_shop.target)
    await any_shop.replace(run, claim)

    behind = await any_shop.await_git(run, claim, 8)
    assert not behind.named
    assert "Git at" in behind.message
    assert f"{any_shop.kind.name} trip" in behind.message
    assert await any_shop.automated() is None

    any_shop.says("v1")
    assert (await any_shop.await_git(run, claim, 20)).named
    await any_shop.settle(run, claim)
    assert await any_shop.automated() == AUTOMATED
    assert TRUCE not in (await any_shop.application())["metadata"]["annotations"]
    await rounds(any_shop)
    assert any_shop.image() == "v1"
    used = {call.split(" ")[0] for call in any_shop.api.calls if call.endswith(" applications")}
    assert used == {"LIST", "GET", "PATCH", "WATCH"}, "the chart gives exactly these rights"


async def test_an_undo_puts_the_sync_back_at_once_and_from_the_mark_alone(any_shop: Shop) -> None:
    world, lost = any_shop.world, any_shop.world.run("lost")
    claim = await world.capture(lost, any_shop.target)
    await any_shop.replace(lost, claim)

    other = world.run("janitor")
    acquired = await other.call(world.targets.acquire, AcquireRequest(target=any_shop.target))
    assert acquired.claim is not None
    with pytest.raises(Fenced):
        await any_shop.settle(lost, claim)
    assert await any_shop.automated() is None
    await any_shop.settle(other, acquired.claim)

    assert await any_shop.automated() == AUTOMATED
    await until(lambda: any_shop.image() == "v0")


async def test_a_claim_of_before_the_namespace_was_made_anew_stops_no_release(shop: Shop) -> None:
    world, key = shop.world, shop.target.key
    application = Resource(shop.api, APPLICATION, shop.git.home, shop.git.application)
    old = Claim(epoch=7, workflow_id=shop.target.rollout_id, run_id="before", purpose="release")
    assert await application.replace_claim(key, expected=None, claim=old)

    run = world.run("run-1")
    claim = await world.capture(run, shop.target)
    assert claim.epoch < old.epoch
    assert await shop.automated() is None

    await shop.settle(run, claim)
    assert await shop.automated() == AUTOMATED


async def test_an_application_that_leaves_alone_what_moves_is_never_paused(world: World, kubeconfig: Path) -> None:
    pointers = ["/spec/replicas", "/spec/strategy", "/spec/template/spec/containers/0/image"]
    rule = {"group": "apps", "kind": "Deployment", "jsonPointers": pointers}
    policy = {"automated": AUTOMATED, "syncOptions": ["RespectIgnoreDifferences=true"]}
    async with opened(world, kubeconfig, ignoreDifferences=[rule], syncPolicy=policy) as shop:
        run = world.run("run-1")
        claim = await world.capture(run, shop.target)
        assert await shop.automated() == AUTOMATED
        await world.deploy(run, shop.target, claim, slot="stable", template=a_template("v1"), replicas=2)
        await rounds(shop)
        assert shop.image() == "v1"
        assert (await shop.await_git(run, claim, 5)).named


async def test_an_application_that_others_write_is_refused_with_the_remedy(shop: Shop, kubeconfig: Path) -> None:
    Writer(kubeconfig).request(
        "PATCH",
        f"/apis/argoproj.io/v1alpha1/namespaces/{shop.namespace.name}/applications/shop",
        {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "root:argoproj.io/Application:x/shop"}}},
        kind="application/merge-patch+json",
    )

    with pytest.raises(Unsupported) as refused:
        await shop.world.capture(shop.world.run("run-1"), shop.target)

    assert "Application root writes the application itself" in str(refused.value)
    assert "/spec/template/spec/containers/0/image" in str(refused.value)
    assert "RespectIgnoreDifferences=true" in str(refused.value)
    assert await shop.automated() == AUTOMATED


@pytest.mark.parametrize("tracked_by", ["gone", "team_shop"])
async def test_a_tracked_deployment_is_refused_where_its_application_is_not_found(
    shop: Shop, kubeconfig: Path, tracked_by: str
) -> None:
    """It is in another namespace, belongs to another Argo CD, or is no more."""
    shop.git.application = tracked_by
    shop.says("v0")
    shop.git.application = "shop"
    await rounds(shop)

    with pytest.raises(Unsupported) as refused:
        await shop.world.capture(shop.world.run("run-1"), shop.target)

    assert f"application {tracked_by}, which is not in namespace {shop.git.home}" in str(refused.value)
    assert "set kubernetes.clusters.local.argoCd.elsewhere in the worker's settings" in str(refused.value)
    assert "take the annotation argocd.argoproj.io/tracking-id off the Deployment" in str(refused.value)
    trusting = ArgoCdSettings(namespace=shop.git.home, elsewhere=True)
    async with joined(shop, KubernetesCluster(kubeconfig=kubeconfig, argo_cd=trusting)):
        await shop.world.capture(shop.world.run("run-1"), shop.target)


async def test_a_tracked_deployment_is_refused_where_nobody_said_where_argo_cd_is(shop: Shop, kubeconfig: Path) -> None:
    async with joined(shop, KubernetesCluster(kubeconfig=kubeconfig)):
        with pytest.raises(Unsupported, match=r"kubernetes\.clusters\.local\.argoCd\.namespace"):
            await shop.world.capture(shop.world.run("run-1"), shop.target)
