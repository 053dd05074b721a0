"""Doctors are told of clusters that lack something, and of what no release owns any more; on a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.labels import canary_labels, target_label
from activities.clusters.kubernetes.resources import annotation
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from activities.references.survey import survey
from activities.workloads.protocol import Record
from activities.workloads.secret import records
from tests.activities.references.place import Shop, a_reference, a_shop
from tests.activities.world import Run, a_template
from tests.builders import PolicyBuilder, a_policy
from workflows.contracts.targets import CaptureRequest, SettleRequest

pytestmark = pytest.mark.cluster

READ = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}


@pytest.fixture
async def shop(routing_kubeconfig: Path) -> AsyncIterator[Shop]:
    async with a_shop(routing_kubeconfig, check=False) as made:
        yield made


def _anywhere(namespace: str) -> PolicyBuilder:
    return a_policy().places(local=[namespace])


async def leftovers(shop: Shop) -> dict[str, str]:
    """What is left over, each with its remedy."""
    [seen] = (await shop.references.survey()).clusters
    assert seen.is_reached
    here = f" {shop.namespace.name}/"
    return {left.object: left.fix for left in seen.leftovers if here in left.object}


async def test_what_no_release_owns_any_more_is_left_over(shop: Shop) -> None:
    await shop.stock()
    place, target = shop.namespace.name, shop.release().component(_anywhere(shop.namespace.name)).target
    run = Run(target.rollout_id, "run-1")
    request = CaptureRequest(target=target, release=a_reference(), template=a_template("v2"))
    claim = (await run.call(shop.targets.capture, request)).claim
    assert claim
    managed = {"app.kubernetes.io/managed-by": "headgate"}
    fence = {annotation(target.key): claim.model_dump_json(by_alias=True)}
    labels = {**managed, **canary_labels(target.key)}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "registry.test/trip:v2"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
    shop.namespace.apply("apps/v1", "Deployment", "trip-canary", metadata={"labels": labels}, spec=spec)
    metadata = {"labels": managed, "annotations": fence}
    shop.namespace.apply("v1", "Service", "trip-canary", metadata=metadata, spec={"ports": [{"port": 80}]})
    written = {f"traffic.headgate.dev/{target_label(target.key)}": "{}"}
    route = {"rules": [{"backendRefs": [{"name": "trip", "port": 80}]}]}
    version = "gateway.networking.k8s.io/v1"
    shop.namespace.apply(version, "HTTPRoute", "trip", metadata={"annotations": written}, spec=route)
    assert await leftovers(shop) == {}

    await run.call(shop.targets.settle, SettleRequest(target=target, claim=claim))
    assert await leftovers(shop) == {
        f"Deployment {place}/trip-canary": f"kubectl delete deployments trip-canary -n {place}",
        f"Service {place}/trip-canary": f"kubectl delete services trip-canary -n {place}",
        f"HTTPRoute {place}/trip": f"kubectl annotate httproutes trip -n {place} {next(iter(written))}-",
    }


async def test_a_release_that_begins_meanwhile_leaves_nothing_over(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.stock()
    target = shop.release().component(_anywhere(shop.namespace.name)).target

    async def then_begun(api: Api, namespace: str) -> list[Record]:
        found = await records(api, namespace)
        request = CaptureRequest(target=target, release=a_reference(), template=a_template("v2"))
        claim = (await Run(target.rollout_id, "run-1").call(shop.targets.capture, request)).claim
        assert claim
        metadata = {
            "labels": {"app.kubernetes.io/managed-by": "headgate"},
            "annotations": {annotation(target.key): claim.model_dump_json(by_alias=True)},
        }
        shop.namespace.apply("v1", "Service", "trip-canary", metadata=metadata, spec={"ports": [{"port": 80}]})
        return found

    monkeypatch.setattr("activities.references.survey.records", then_begun)
    assert await leftovers(shop) == {}


async def test_a_mark_without_an_open_run_is_an_orphan(shop: Shop) -> None:
    await shop.stock()
    target = shop.release().component(_anywhere(shop.namespace.name)).target
    run = Run(target.rollout_id, "run-1")
    request = CaptureRequest(target=target, release=a_reference(), template=a_template("v2"))
    await run.call(shop.targets.capture, request)
    assert target.key not in (await shop.references.survey()).orphans
    shop.runs.close(run.workflow_id, run.run_id)
    assert target.key in (await shop.references.survey()).orphans


async def test_a_namespace_that_is_gone_hides_no_mark_of_the_others(shop: Shop, tmp_path: Path) -> None:
    await shop.stock()
    target = shop.release().component(_anywhere(shop.namespace.name)).target
    run = Run(target.rollout_id, "run-1")
    await run.call(
        shop.targets.capture, CaptureRequest(target=target, release=a_reference(), template=a_template("v2"))
    )
    shop.runs.close(run.workflow_id, run.run_id)
    place = shop.namespace.name
    await shop.clusters.close()
    shop.join(shop.sign_in(tmp_path, READ), place, "gone")

    found = await shop.references.survey()

    assert target.key in found.orphans
    assert found.clusters[0].lacking[-1].startswith("in namespace gone: ")
    assert shop.clusters.get("local").unread == {"gone"}


async def test_a_cluster_without_rights_and_one_that_is_away_are_told(shop: Shop, tmp_path: Path) -> None:
    kubeconfig = shop.sign_in(tmp_path, READ)
    away = tmp_path / "away.json"
    away.write_text(kubeconfig.read_text().replace("https://", "https://127.0.0.1:1/"))
    clusters = {
        "poor": KubernetesCluster(kubeconfig=kubeconfig, namespaces=(shop.namespace.name,)),
        "away": KubernetesCluster(kubeconfig=away),
    }
    reached = Clusters(KubernetesSettings(clusters=clusters))
    gone, poor = await survey(reached)
    await reached.close()
    assert (gone.cluster, gone.is_reached) == ("away", False)
    assert "the API server of cluster away cannot be reached" in gone.message
    assert poor.is_reached
    assert "patch secrets, " in poor.lacking[0]
    assert poor.lacking[0].startswith(f"in namespace {shop.namespace.name}: ")
