"""Releases on a real cluster where others write all the time: what is theirs stays, and what is ours happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import DEPLOYMENT, HTTP_ROUTE, SERVICE
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from infra.testbed import crds
from infra.testbed.api import Api
from infra.testbed.bed import Bed
from tests.e2e import others
from tests.e2e.land import at
from tests.e2e.others import EDITS, ROUTE, SHOP, Busybody, a_restless_autoscaler, beside
from tests.e2e.site import Site, a_site
from tests.e2e.visitors import Visitors
from tests.gitops import StandIn

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(400)]

CANARY: dict[str, Any] = {
    "kind": "canary",
    "stages": [{"weight": 20, "observe": "6s"}, {"weight": 50, "observe": "6s"}],
    "watch": "6s",
}
LONG = {**CANARY, "stages": [{"weight": 50, "observe": "10m"}]}
POINTERS = ["/spec/replicas", "/spec/strategy", "/spec/template/spec/containers/0/image"]
AUTOMATED = {"prune": True, "selfHeal": True}


@asynccontextmanager
async def opened(bed: Bed, folder: Path, **settings: Any) -> AsyncIterator[tuple[Site, Visitors]]:
    """A shop that is never empty."""
    async with a_site(bed, folder, **settings) as site:
        site.shop()
        await site.until_ready()
        async with Visitors(bed.gateway, site.host) as visitors:
            await visitors.until(("1.0.0", 200))
            yield site, visitors


def image(site: Site) -> str:
    return str(site.namespace.get(SHOP)["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]


def specs(site: Site, *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """What an undo must give back field by field."""
    found = {path: dict(site.namespace.get(path)["spec"]) for path in (SHOP, ROUTE, others.SERVICE)}
    return {path: {field: value for field, value in spec.items() if field not in but} for path, spec in found.items()}


async def aborted_at_half(site: Site, version: str) -> None:
    """A release that a person ends when half of the users are on its version."""
    playing = asyncio.create_task(site.play(site.release(version, LONG)))
    await asyncio.sleep(1)
    await site.until("shop", at(50))
    await site.abort()
    assert (await playing)[0] == "Aborted"


async def test_a_writer_without_a_pause_disturbs_neither_a_release_nor_its_undo(full_bed: Bed, tmp_path: Path) -> None:
    theirs = ("revisionHistoryLimit", "progressDeadlineSeconds")
    async with opened(full_bed, tmp_path) as (site, visitors):
        busy = Busybody(site.namespace, EDITS)
        async with busy.at_work():
            assert await site.play(site.release("1.1.0", CANARY)) == ("Succeeded", "1.1.0 takes all traffic")
            before = specs(site, but=theirs)
            await aborted_at_half(site, "1.0.0")
            assert set(await visitors.next(100)) == {("1.1.0", 200)}
        print(f"edits: {dict(busy.done)}")
        assert visitors.lost == {}
        assert specs(site, but=theirs) == before
        assert site.namespace.get(others.CANARY) is None
        assert min(busy.done.values()) > 100
        seen = site.namespace.get(SHOP)["metadata"]["annotations"]["others.example.com/seen"]
        assert int(seen) >= busy.done[SHOP] - 1, "nothing of theirs was written over"


@pytest.mark.parametrize(("policy", "outcome"), [("takeOver", "Succeeded"), ("rollback", "RolledBack")])
async def test_who_moves_users_in_mid_release_is_handled_as_the_policy_says(
    full_bed: Bed, tmp_path: Path, policy: str, outcome: str
) -> None:
    async with opened(full_bed, tmp_path, foreignChanges=policy) as (site, visitors):
        before = specs(site)
        playing = asyncio.create_task(site.play(site.release("1.1.0", CANARY)))
        await asyncio.sleep(1)
        await site.until("shop", at(20))
        rules = deepcopy(site.namespace.get(ROUTE)["spec"]["rules"])
        for backend in rules[0]["backendRefs"]:
            backend["weight"] = 50
        site.namespace.merge(ROUTE, {"spec": {"rules": rules}})
        ended, message = await playing
        assert ended == outcome, message
        assert image(site) == ("1.1.0" if outcome == "Succeeded" else "1.0.0")
        assert outcome == "Succeeded" or specs(site) == before
        assert visitors.lost == {}


async def test_an_autoscaler_that_never_rests_disturbs_neither_a_release_nor_its_undo(
    full_bed: Bed, tmp_path: Path
) -> None:
    async with opened(full_bed, tmp_path) as (site, visitors):
        before = site.scale((2, 6))
        for version, strategy, outcome in (("1.1.0", CANARY, "Succeeded"), ("1.0.0", LONG, "Aborted")):
            playing = asyncio.create_task(site.play(site.release(version, strategy)))
            await asyncio.sleep(1)
            await site.until("shop", lambda status: status["phase"] == "Observing")
            async with a_restless_autoscaler(site, 5, 3, 6, 2):
                if outcome == "Aborted":
                    await asyncio.sleep(10)
                    await site.abort()
                assert (await playing)[0] == outcome
            await site.until_ready()
            assert set(await visitors.next(100)) == {("1.1.0", 200)}
            assert site.autoscaler() == before
            assert 2 <= site.namespace.get(SHOP)["spec"]["replicas"] <= 6
            assert site.namespace.get(others.CANARY) is None
        assert visitors.lost == {}


@asynccontextmanager
async def a_git(site: Site, **spec: Any) -> AsyncIterator[StandIn]:
    """Git holds what is there now, and an Application applies it again and again."""
    cluster = KubernetesCluster(kubeconfig=site.namespace.kubeconfig, calls_per_second=500)
    clusters, name = Clusters(KubernetesSettings(clusters={"bed": cluster})), site.namespace.name
    git = StandIn(clusters.get("bed"), Api(site.namespace.kubeconfig), "shop", name, name)
    destination = {"server": "https://kubernetes.default.svc", "namespace": name}
    source = {"repoURL": "https://git.test/shop", "path": "shop", "targetRevision": "main"}
    base = {"project": "default", "destination": destination, "source": source, "syncPolicy": {"automated": AUTOMATED}}
    site.namespace.apply("argoproj.io/v1alpha1", "Application", "shop", spec={**base, **spec})
    for kind, path in ((DEPLOYMENT, SHOP), (HTTP_ROUTE, ROUTE), (SERVICE, others.SERVICE)):
        git.commit(kind, "shop", {"metadata": {"labels": {"team": "ours"}}, "spec": site.namespace.get(path)["spec"]})
    try:
        async with git.running(), beside(litter(site)):
            yield git
    finally:
        await clusters.close()


def git_names(git: StandIn, version: str) -> None:
    """Git names another version from now on."""
    manifest = git.git[DEPLOYMENT, "shop"]
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = f"headgate.test/podinfo:{version}"
    git.commit(DEPLOYMENT, "shop", manifest)


def automated(site: Site) -> Any:
    found = site.namespace.get("argoproj.io/v1alpha1/applications/shop")
    return (found["spec"].get("syncPolicy") or {}).get("automated")


async def litter(site: Site) -> None:
    """Somebody changes what Git says, and leaves things that it does not name."""
    left = {"labels": {"app.kubernetes.io/instance": "shop"}}
    while True:
        site.namespace.merge(others.SERVICE, {"metadata": {"labels": {"team": "theirs"}}})
        site.namespace.apply("v1", "Service", "left", spec={"ports": [{"port": 80}]}, metadata=left)
        await asyncio.sleep(1)


async def test_git_that_is_applied_throughout_undoes_no_release_where_it_leaves_alone_what_moves(
    full_bed: Bed, tmp_path: Path
) -> None:
    crds.install(full_bed.api, ("argo-cd",))
    async with opened(full_bed, tmp_path, argo_cd=True) as (site, visitors):
        deployment = {"group": "apps", "kind": "Deployment", "jsonPointers": POINTERS}
        route = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "jsonPointers": ["/spec/rules"]}
        policy = {"automated": AUTOMATED, "syncOptions": ["RespectIgnoreDifferences=true"]}
        async with a_git(site, ignoreDifferences=[deployment, route], syncPolicy=policy) as git:
            assert await site.play(site.release("1.1.0", CANARY)) == ("Succeeded", "1.1.0 takes all traffic")
            before = specs(site)
            await aborted_at_half(site, "1.0.0")
            assert set(await visitors.next(100)) == {("1.1.0", 200)}
            assert specs(site) == before
            assert automated(site) == AUTOMATED
        print(f"{git.applied} objects applied, {len(git.pruned)} pruned")
        assert git.applied > 10
        assert set(git.pruned) == {"left"}
        assert visitors.lost == {}


async def test_git_whose_sync_is_paused_undoes_no_release_and_goes_on_at_its_end(full_bed: Bed, tmp_path: Path) -> None:
    crds.install(full_bed.api, ("argo-cd",))
    async with opened(full_bed, tmp_path, argo_cd=True) as (site, visitors):
        async with a_git(site) as git:
            playing = asyncio.create_task(site.play(site.release("1.1.0", CANARY)))
            await asyncio.sleep(1)
            await site.until("shop", lambda status: (status["wait"] or {}).get("reason") == "GitBehind")
            assert automated(site) is None
            git_names(git, "1.1.0")
            assert await playing == ("Succeeded", "1.1.0 takes all traffic")
            assert automated(site) == AUTOMATED
            await _rounds(git)
            before = specs(site)
            await aborted_at_half(site, "1.0.0")
            assert automated(site) == AUTOMATED
            await _rounds(git)
            assert set(await visitors.next(100)) == {("1.1.0", 200)}
            assert specs(site) == before
        assert git.applied > 0
        assert set(git.pruned) == {"left"}
        assert visitors.lost == {}


async def _rounds(git: StandIn) -> None:
    """Lets Git's state be applied a few times more."""
    applied = git.applied
    async with asyncio.timeout(30):
        while git.applied < applied + 3:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
