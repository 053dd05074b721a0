"""A real Kubernetes API server for tests, with pods that become ready by themselves; one for all processes of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.testbed.api import Api
from infra.testbed.bed import Bed, bed
from infra.testbed.cache import root
from infra.testbed.programs import Builder
from tests.temporal import unique

UNBUILT = "the test bed is not built; `make e2e` builds it"
NEEDED = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """An administrator's; skips where the test bed has not been built, which takes minutes."""
    if not is_built(*NEEDED):
        pytest.skip(UNBUILT)
    with bed(name="pytest") as cluster:
        yield cluster.kubeconfig


@pytest.fixture(scope="session")
def full_bed() -> Iterator[Bed]:
    """Pods that really run, behind a real Gateway; skips where the test bed has not been built, which takes minutes."""
    if not is_built("contour"):
        pytest.skip(UNBUILT)
    extras = ["traefik"] if is_built("traefik") else []
    with bed("full", name=f"pytest-{_session()}", crds=("contour",), extras=extras) as found:
        yield found


def is_built(*programs: str) -> bool:
    """Whether tests have a cluster without building one, or somebody else's."""
    builder = Builder(root(), print)
    return "HEADGATE_TEST_KUBECONFIG" in os.environ or all(builder.path(name).exists() for name in programs)


def _session() -> str:
    """One for all processes of a run, and another for each run: its faults, such as an API server that stops, are its
    own."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:8]


class Namespace:
    """A namespace of one test's own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.api = Api(kubeconfig)
        self.name = unique("test")
        self.apply("v1", "Namespace", self.name)

    def apply(self, version: str, kind: str, name: str, **fields: Any) -> None:
        """Writes an object as kubectl would."""
        metadata = {"name": name, **({} if kind == "Namespace" else {"namespace": self.name})}
        metadata |= fields.pop("metadata", {})
        self.api.apply_object({"apiVersion": version, "kind": kind, "metadata": metadata, **fields})

    def deployment(self, name: str = "trip", *, replicas: int = 0, image: str = "v0", **spec: Any) -> None:
        """A Deployment as a team has it."""
        self.workload("Deployment", name, image=image, replicas=replicas, **spec)

    def workload(self, kind: str, name: str = "trip", *, image: str = "v0", **spec: Any) -> None:
        """A Deployment, StatefulSet or DaemonSet as a team has it."""
        labels = {"app": name, "team": "trips"}
        container = {"name": name, "image": f"registry.test/{name}:{image}", "ports": [{"containerPort": 8080}]}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        self.apply(
            "apps/v1",
            kind,
            name,
            metadata={"labels": {**labels, "argocd.argoproj.io/instance": "shop"}},
            spec={"selector": {"matchLabels": {"app": name}}, "template": pod, **spec},
        )

    def get(self, path: str) -> Any:
        """An object of the namespace, such as `apps/v1/deployments/trip`; None when it is not there."""
        return self.api.get(self._url(path))

    def merge(self, path: str, change: dict[str, Any]) -> None:
        """Changes fields of an object, as `kubectl patch` does. Errors: ApiException."""
        self.api.request("PATCH", self._url(path), change, kind="application/merge-patch+json")

    def close(self) -> None:
        """Leaves the objects to the cluster, which goes with the tests."""
        self.api.request("DELETE", f"/api/v1/namespaces/{self.name}")

    def _url(self, path: str) -> str:
        version, plural, name = path.rsplit("/", 2)
        return f"/{'apis' if '/' in version else 'api'}/{version}/namespaces/{self.name}/{plural}/{name}"
