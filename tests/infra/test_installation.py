"""The chart on a real API server: what it renders is taken without a complaint, and Helm installs and removes it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.testbed import crds
from infra.testbed.processes import polling
from tests.infra.chart import CHART, FULL, Helm, Manifest, merged
from tests.infra.cluster import RESTRICTED, Server

pytestmark = pytest.mark.cluster


@pytest.fixture
def server(routing_kubeconfig: Path) -> Server:
    made = Server(routing_kubeconfig)
    crds.install(made.api, ("prometheus-operator",))
    return made


def full(server: Server) -> dict[str, Any]:
    """All values, for namespaces that are there."""
    shop, trips, argo_cd = (server.namespace() for _ in range(3))
    in_cluster = {"namespaces": [shop, trips], "argoCd": {"namespace": argo_cd}}
    target = [{"cluster": "main", "namespaces": [shop, trips]}]
    policy = {"spec": {"environments": {"production": {"targets": target}}}}
    return merged(FULL, {"inCluster": in_cluster, "policy": policy})


def pods(manifests: list[Manifest]) -> list[Manifest]:
    """The pods that the chart's controllers would make."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **found["spec"]["template"]["metadata"],
                "name": "tried",
                "namespace": found["metadata"]["namespace"],
            },
            "spec": {**found["spec"]["template"]["spec"], "serviceAccountName": "default"},
        }
        for found in manifests
        if found["kind"] in ("Deployment", "Job")
    ]


@pytest.mark.parametrize("is_full", [False, True], ids=["default", "full"])
def test_the_api_server_takes_every_object(server: Server, helm: Helm, is_full: bool) -> None:
    home = server.namespace(**RESTRICTED)
    manifests = helm.render(home, **(full(server) if is_full else {}))
    if is_full:
        assert {found["kind"] for found in manifests} >= {"NetworkPolicy", "PodMonitor", "PrometheusRule", "Role"}

    for manifest in manifests:
        assert server.try_out(manifest)["metadata"]["name"] == manifest["metadata"]["name"]


@pytest.mark.parametrize("is_full", [False, True], ids=["default", "full"])
def test_pod_security_at_its_strictest_admits_the_pods(server: Server, helm: Helm, is_full: bool) -> None:
    home = server.namespace(**RESTRICTED)
    made = pods(helm.render(home, **merged(full(server) if is_full else {}, {"priorityClassName": ""})))

    assert len(made) == 2
    for pod in made:
        server.try_out(pod)


def rolled_out(server: Server, path: str) -> Any:
    """The Deployment once all its workers are new and ready; Helm is content with one, for the other may be away."""
    for _ in polling(path, limit=60):
        found = server.api.get(path)
        status = found["status"]
        is_seen = status.get("observedGeneration") == found["metadata"]["generation"]
        if is_seen and status.get("updatedReplicas") == status.get("readyReplicas") == 2 == status.get("replicas"):
            return found
    raise AssertionError


@pytest.mark.slow
def test_helm_installs_upgrades_and_removes_it(server: Server, helm: Helm) -> None:
    home, shop = server.namespace(**RESTRICTED), server.namespace()
    values = {"inCluster": {"namespaces": [shop], "routers": ["service"]}}
    common: list[str | Path] = [
        "headgate",
        CHART,
        "--namespace",
        home,
        "--kubeconfig",
        server.kubeconfig,
        "--wait",
        "--timeout",
        "90s",
    ]
    deployments = f"/apis/apps/v1/namespaces/{home}/deployments"

    said = helm.run("install", *common, values=values)
    first = rolled_out(server, f"{deployments}/headgate")
    nodes = {pod["spec"]["nodeName"] for pod in server.api.get(f"/api/v1/namespaces/{home}/pods")["items"]}

    assert f"kubectl --namespace {home} rollout status deployment/headgate" in said
    assert "There is no policy yet" in said
    assert len(nodes) == 2, "two workers on one node fail together"
    assert not server.api.get(f"/apis/batch/v1/namespaces/{home}/jobs")["items"], "the setup has done its work"

    helm.run("upgrade", *common, values=merged(values, {"settings": {"slots": {"undo": 30}}}))
    assert rolled_out(server, f"{deployments}/headgate")["metadata"]["generation"] > first["metadata"]["generation"]

    helm.run("uninstall", "headgate", "--namespace", home, "--kubeconfig", server.kubeconfig, "--wait")
    assert not server.api.get(deployments)["items"]
    assert not server.api.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{shop}/roles")["items"]


def test_the_chart_can_be_packed(helm: Helm, tmp_path: Path) -> None:
    copy = shutil.copytree(CHART, tmp_path / "headgate")

    helm.run("package", copy, "--destination", tmp_path)

    assert len(list(tmp_path.glob("headgate-*.tgz"))) == 1
