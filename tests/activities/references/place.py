"""A namespace of a real cluster with a shop in it, and a worker's checks over it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from activities.clusters.local.settings import ProcessSettings
from activities.gitops.argo_cd import ArgoCd
from activities.references.activities import References
from activities.references.registry import reference_checks
from activities.references.settings import RegistrySettings
from activities.targets.activities import Targets
from activities.traffic.registry import traffic_routers
from activities.workloads.registry import workload_providers
from tests.activities.world import Runs, until
from tests.activities.world import a_release as a_reference
from tests.builders import ReleaseBuilder, a_policy, a_release
from tests.cluster import Namespace
from workflows.contracts.references import ReferencesChecked, ReferencesRequest

ROUTE = {"kind": "gatewayApi", "httpRoute": "trip", "service": "trip"}
__all__ = ["ROUTE", "Shop", "a_reference", "a_shop"]


class Shop:
    """A Deployment, a Service and an HTTPRoute called trip, unless a test leaves one out."""

    def __init__(self, kubeconfig: Path, registries: RegistrySettings) -> None:
        self.registries = registries
        self.namespace = Namespace(kubeconfig)
        self.runs = Runs()
        self.join(kubeconfig)

    def join(self, kubeconfig: Path, *namespaces: str, **settings: Any) -> None:
        """Asks with the credentials of this file from now on, in these namespaces or in all."""
        cluster = KubernetesCluster(kubeconfig=kubeconfig, namespaces=namespaces, calls_per_second=1000, **settings)
        self.clusters = Clusters(KubernetesSettings(clusters={"local": cluster}))
        self.workloads = workload_providers(ProcessSettings(), self.clusters)
        self.routers = traffic_routers(None, self.clusters)
        gitops, checks = ArgoCd(self.clusters), reference_checks(self.clusters, self.registries)
        self.targets = Targets(self.workloads, self.routers, self.runs, gitops)
        self.references = References(self.workloads, self.routers, checks, self.targets.find_marks, gitops)

    async def stock(
        self,
        image: str = "registry.test/trip:v1",
        *,
        replicas: int = 2,
        affinity: dict[str, Any] | None = None,
        **resources: Any,
    ) -> None:
        """Puts everything there and waits until it is healthy."""
        container = {"name": "trip", "image": image, "resources": resources, "ports": [{"containerPort": 8080}]}
        pod = {"metadata": {"labels": {"app": "trip"}}, "spec": {"containers": [container], "affinity": affinity or {}}}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "trip"}}, "template": pod}
        self.namespace.apply("apps/v1", "Deployment", "trip", spec=spec)
        self.namespace.apply("v1", "Service", "trip", spec={"selector": {"app": "trip"}, "ports": [{"port": 80}]})
        rules = [{"backendRefs": [{"name": "trip", "port": 80}]}]
        self.namespace.apply("gateway.networking.k8s.io/v1", "HTTPRoute", "trip", spec={"rules": rules})
        assert await self.until_available("trip", replicas)

    async def until_available(self, name: str, replicas: int) -> bool:
        """Whether a Deployment gets so many ready pods."""

        def available() -> int:
            return int(self.namespace.get(f"apps/v1/deployments/{name}").get("status", {}).get("availableReplicas", 0))

        return await until(lambda: available() >= replicas)

    def release(self, image: str = "registry.test/trip", **fields: Any) -> ReleaseBuilder:
        """A canary of trip at v2."""
        return (
            a_release("trip")
            .unanalysed()
            .with_(
                **{
                    "workload": {"kind": "kubernetes", "deployment": "trip"},
                    "artifact": {"image": image},
                    "traffic": ROUTE,
                }
                | fields
            )
        )

    async def check(self, *releases: ReleaseBuilder) -> ReferencesChecked:
        """What a worker says of these releases, taken together as components of one."""
        policy = a_policy().places(local=[self.namespace.name])
        components = tuple(component for each in releases for component in each.planned(policy).components)
        return await self.references.check(ReferencesRequest(components=components))

    async def told(self, *releases: ReleaseBuilder) -> dict[str, str]:
        """Refusals by field, one a line."""
        checked, told = await self.check(*releases), dict[str, str]()
        for problem in checked.problems:
            if problem.is_certain:
                told[problem.field] = "\n".join(filter(None, (told.get(problem.field), problem.message)))
        return told

    def sign_in(self, folder: Path, *rules: dict[str, Any]) -> Path:
        """A kubeconfig of an account with these rights in the namespace and no others."""
        name, place = (
            self.namespace.name,
            {"kind": "ServiceAccount", "name": "worker", "namespace": self.namespace.name},
        )
        self.namespace.apply("v1", "ServiceAccount", "worker")
        self.namespace.apply("rbac.authorization.k8s.io/v1", "Role", "worker", rules=list(rules))
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "worker"}
        self.namespace.apply("rbac.authorization.k8s.io/v1", "RoleBinding", "worker", roleRef=role, subjects=[place])
        config = yaml.safe_load(self.namespace.kubeconfig.read_text())
        user = {"name": "worker", "user": {"token": self.namespace.api.token(name, "worker")}}
        context = {"name": "worker", "context": {"cluster": config["clusters"][0]["name"], "user": "worker"}}
        file = folder / "worker.json"
        file.write_text(json.dumps({**config, "users": [user], "contexts": [context], "current-context": "worker"}))
        return file


@asynccontextmanager
async def a_shop(kubeconfig: Path, **registries: Any) -> AsyncIterator[Shop]:
    shop = Shop(kubeconfig, RegistrySettings(**registries))
    try:
        yield shop
    finally:
        await shop.clusters.close()
        shop.namespace.close()
