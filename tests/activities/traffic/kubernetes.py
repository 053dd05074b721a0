"""A namespace of a real cluster with one Deployment and one Service, and whoever would answer for a route there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import DEPLOYMENT, SERVICE, Kind
from activities.clusters.kubernetes.labels import canary_labels
from activities.clusters.kubernetes.patch import put
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from activities.foreign import Lookout
from activities.registry import Registry
from activities.targets.activities import Targets
from activities.traffic.activities import Traffic
from activities.traffic.keeping import Keeping
from activities.traffic.registry import traffic_routers
from activities.workloads.activities import Workloads
from activities.workloads.null import NullWorkloads
from activities.workloads.registry import workload_providers
from tests.activities.world import Run, Runs, World, a_template
from workflows.contracts.workloads import DeployRequest, ReadyResult, RetireRequest, WaitReadyRequest
from workflows.errors import ForeignChange, ProviderError
from workflows.model.target import SLOTS, Backend, Claim, Slot, SlotState, Target, Template

NAMESPACE = Kind("Namespace", "v1", "namespaces")


class Deployments(NullWorkloads):
    """Marks and fences in memory, but pods in the cluster: as little of a workload provider as a router needs."""

    def __init__(self, api: Api, image: str) -> None:
        super().__init__()
        self._api = api
        self._image = image

    async def observe(self, target: Target, slots: Sequence[Slot] = SLOTS) -> dict[Slot, SlotState]:
        remembered = await super().observe(target, slots)
        return {slot: await self._seen(target, slot, remembered[slot]) for slot in slots}

    async def deploy(self, request: DeployRequest) -> SlotState:
        state = await super().deploy(request)
        name = _name(request.target, request.slot)
        found = await self._api.find(DEPLOYMENT, request.target.namespace, name)
        if found is None:
            image = self._image.format(request.template.version)
            body = _deployment(request.target, request.slot, request.replicas, image)
            await self._api.create(DEPLOYMENT, request.target.namespace, body)
        else:
            await self._api.patch(
                DEPLOYMENT, request.target.namespace, name, [put(("spec", "replicas"), request.replicas)]
            )
        return state

    async def wait_ready(self, request: WaitReadyRequest) -> ReadyResult:
        deadline = time.monotonic() + request.timeout_seconds
        while True:
            state = (await self.observe(request.target, [request.slot]))[request.slot]
            if sum(state.ready.values()) == request.replicas:
                return ReadyResult(ready=True, state=state)
            assert time.monotonic() < deadline, state
            await asyncio.sleep(0.1)

    async def retire(self, request: RetireRequest) -> None:
        await super().retire(request)
        name = _name(request.target, request.slot)
        if found := await self._api.find(DEPLOYMENT, request.target.namespace, name):
            await self._api.delete(DEPLOYMENT, request.target.namespace, name, uid=found["metadata"]["uid"])

    async def _seen(self, target: Target, slot: Slot, remembered: SlotState) -> SlotState:
        found = await self._api.find(DEPLOYMENT, target.namespace, _name(target, slot))
        ready = (found or {}).get("status", {}).get("readyReplicas", 0)
        digest = remembered.template.digest if remembered.template else "before"
        return remembered.model_copy(update={"ready": {digest: ready} if ready else {}})


class KubernetesWorld(World):
    """The world of the contract suite, with routes in a cluster."""

    def __init__(self, directory: Path, kubeconfig: Path, router: str, *, image: str = "test/app:{}") -> None:
        self.place = f"traffic-{uuid4().hex[:8]}"
        self.host = f"{self.place}.example.com"
        settings = KubernetesSettings(clusters={"test": KubernetesCluster(kubeconfig=kubeconfig, calls_per_second=500)})
        self.reached = Clusters(settings)
        self.api = self.reached.get("test")
        self.router = router
        self.image = image
        self._answering: list[asyncio.Task[None]] = []
        super().__init__(directory)
        self.kinds = ("kubernetes", "gatewayApi" if router == "grpc" else router.removesuffix("Subsets"))
        is_silent = router in ("istio", "istioSubsets", "traefik", "nginx", "ingress")
        self.verified = "unsupported" if is_silent else "verified"
        self.divides = router not in ("service", "ingress")
        self.maintains = router not in ("nginx", "replicas")

    def rebuild(self, envoy: Any, runs: Runs, *, patience: float = 3) -> None:
        self.runs = runs
        deployments = Deployments(self.api, self.image)
        self.providers = Registry("workloads", {"kubernetes": lambda: deployments})
        self.routers = traffic_routers(None, self.reached)
        self.workloads = Workloads(self.providers, Keeping(self.routers))
        self.traffic = Traffic(self.routers, self.providers, patience=patience)
        self.targets = Targets(self.providers, self.routers, runs)

    def target(self, *, workload: str = "", traffic: str = "", **more: Any) -> Target:
        return Target(
            component="trip",
            cluster="test",
            namespace=self.place,
            workload={"kind": workload or self.kinds[0], "deployment": "trip"},
            traffic={"kind": traffic or self.kinds[1], "service": "trip", **ROUTES.get(self.router, {}), **more},
            drain_seconds=1,
        )

    def some(self, percent: float) -> dict[Backend, float]:
        """As of every world; by pods, one beside another."""
        return super().some(50 if self.router == "replicas" and 0 < percent < 100 else percent)

    async def bring(self, run: Run, target: Target, claim: Claim, weights: dict[Backend, float]) -> None:
        if not target.is_counted:
            return
        for slot, version in zip(SLOTS, ("v1", "v2"), strict=True):
            replicas = 1 if weights.get(slot) else 0
            await self.deploy(run, target, claim, slot=slot, template=a_template(version), replicas=replicas)

    async def open(self, *objects: tuple[Kind, Object]) -> None:
        """Makes the namespace, the Service and more objects."""
        await self.api.create(NAMESPACE, "", {"metadata": {"name": self.place}})
        await self.api.create(SERVICE, self.place, deepcopy(TRIP))
        for kind, body in objects:
            await self.api.create(kind, self.place, deepcopy(body))

    async def own(self, labels: Mapping[str, str] = MappingProxyType({}), *, replicas: int = 0) -> None:
        """From now on the pods are those of a real Deployment trip and of the copy that Headgate makes beside it."""
        body = _deployment(self.target(), "stable", replicas, self.image.format("1.0.0"))
        body["spec"]["selector"] = {"matchLabels": {"app": "trip", **labels}}
        body["spec"]["template"]["metadata"]["labels"] = {"app": "trip", **labels}
        await self.api.create(DEPLOYMENT, self.place, body)
        self.providers = workload_providers(self.process, self.reached)
        self.workloads = Workloads(self.providers, Keeping(self.routers))
        self.traffic = Traffic(self.routers, self.providers)
        self.targets = Targets(self.providers, self.routers, self.runs)

    def version(self, version: str) -> Template:
        """A version of the world's image."""
        return Template(version=version, digest=f"digest-{version}", body={"images": {"": self.image.format(version)}})

    def answer(self, kind: Kind, status: Any) -> None:
        """From now on somebody says of every object of a kind that it is in use."""
        self._answering.append(asyncio.create_task(answering(self.api, self.place, kind, status)))

    async def finish(self) -> None:
        for task in self._answering:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        found = await self.api.get(NAMESPACE, "", self.place)
        await self.api.delete(NAMESPACE, "", self.place, uid=found["metadata"]["uid"])
        await self.reached.close()
        self.close()


@asynccontextmanager
async def noticing(world: World, target: Target) -> AsyncIterator[asyncio.Task[ForeignChange]]:
    """A lookout for foreign changes that has looked once; it has two seconds to notice one."""
    lookout = Lookout(world.providers, world.routers)
    task = asyncio.create_task(lookout.first(target))
    try:
        await asyncio.sleep(0.5)
        async with asyncio.timeout(2):
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, lookout.close(), return_exceptions=True)


async def answering(api: Api, namespace: str, kind: Kind, status: Callable[[Object], Any]) -> None:
    """Says of every object of a kind that it is in use, as its controller would, until cancelled."""
    while True:
        for found in await api.search(kind, namespace, labels=""):
            wanted = status(found)
            if found.get("status") != wanted:
                with suppress(ProviderError):
                    await api.patch(kind, namespace, f"{found['metadata']['name']}/status", [put(("status",), wanted)])
        await asyncio.sleep(0.05)


def accepted(route: Object) -> Any:
    """The status of a route that its parents serve."""
    return {
        "parents": [
            {
                "parentRef": parent,
                "controllerName": "headgate.test/stand-in",
                "conditions": [
                    {
                        "type": name,
                        "status": "True",
                        "reason": name,
                        "message": "",
                        "observedGeneration": route["metadata"]["generation"],
                        "lastTransitionTime": (route["metadata"]["creationTimestamp"]),
                    }
                    for name in ("Accepted", "ResolvedRefs")
                ],
            }
            for parent in route["spec"]["parentRefs"]
        ]
    }


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TRIP: Object = {
    "metadata": {
        "name": "trip",
        "labels": {"app": "trip"},
        "annotations": {"projectcontour.io/upstream-protocol.h2c": "none", "argocd.argoproj.io/tracking-id": "shop"},
    },
    "spec": {"selector": {"app": "trip"}, "ports": [{"name": "http", "port": 80, "targetPort": 9898}]},
}


def valid(proxy: Object) -> Any:
    """The status of an HTTPProxy that Contour serves."""
    condition = {
        "type": "Valid",
        "status": "True",
        "reason": "Valid",
        "message": "",
        "observedGeneration": proxy["metadata"]["generation"],
        "lastTransitionTime": proxy["metadata"]["creationTimestamp"],
    }
    return {"currentStatus": "valid", "conditions": [condition]}


ROUTES: dict[str, dict[str, str]] = {
    "gatewayApi": {"httpRoute": "shop"},
    "grpc": {"grpcRoute": "shop"},
    "contour": {"httpProxy": "shop"},
    "istio": {"virtualService": "shop"},
    "istioSubsets": {"virtualService": "shop", "destinationRule": "shop"},
    "traefik": {"traefikService": "shop"},
    "ingress": {"ingress": "shop"},
    "nginx": {"ingress": "shop"},
}


def _name(target: Target, slot: Slot) -> str:
    name = target.workload["deployment"]
    return name if slot == "stable" else f"{name}-canary"


def _deployment(target: Target, slot: Slot, replicas: int, image: str) -> Object:
    name = _name(target, slot)
    labels = {"app": name} | (canary_labels(target.key) if slot == "canary" else {})
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 9898}],
        "env": [{"name": "PODINFO_H2C", "value": "true"}],  # What a GRPCRoute makes a gateway speak.
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9898}, "periodSeconds": 1},
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
