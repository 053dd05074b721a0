"""A shop on a real cluster: pods behind a Gateway, and workers in the cluster's network."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from cli.tools import Toolbox
from infra.testbed.bed import Bed
from tests.cluster import Namespace
from tests.infra import chart
from tests.infra.cluster import Server
from tests.temporal import end_of, status_of
from workflows.engine.visibility import KEYS

ROOT = Path(__file__).parents[2]
PARENT = {"name": "contour", "namespace": "projectcontour"}
QUEUE = "headgate"


@dataclass
class Site:
    """Where releases of the tests happen."""

    bed: Bed
    client: Client
    namespace: Namespace
    hire: Callable[[], Awaitable[None]]
    """Begins one more worker."""
    workers: list[asyncio.subprocess.Process]
    """From the oldest on, those that have ended too."""
    folder: Path

    @property
    def health(self) -> list[str]:
        """Where each worker serves its health and its metrics."""
        said = (log.read_text() for log in sorted(self.folder.glob("*/log")))
        return [found[1] for text in said if (found := re.search(r"health and metrics at (http://\S+)", text))]

    @property
    def host(self) -> str:
        """The name that users of the one shop ask for."""
        return self.host_of("shop")

    def host_of(self, name: str) -> str:
        """The name that users of a shop ask for."""
        return f"{name}.{self.namespace.name}.example.com"

    def shop(self, name: str = "shop", **workload: Any) -> None:
        """A workload, its Service, and a route to it."""
        self.workload(name, **workload)
        rules = [{"backendRefs": [{"name": name, "port": 80}]}]
        spec = {"parentRefs": [PARENT], "hostnames": [self.host_of(name)], "rules": rules}
        self.namespace.apply("gateway.networking.k8s.io/v1", "HTTPRoute", name, spec=spec)

    def workload(
        self,
        name: str,
        *,
        kind: str = "Deployment",
        replicas: int = 3,
        version: str = "1.0.0",
        leave_seconds: int = 2,
        **spec: Any,
    ) -> None:
        """A workload and its Service; its pods serve for some seconds after they were told to go."""
        labels = {"app": name}
        container = {
            "name": "podinfo",
            "image": f"headgate.test/podinfo:{version}",
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": "PODINFO_H2C", "value": "true"}],  # What a GRPCRoute makes a gateway speak.
            "ports": [{"name": "web", "containerPort": 9898}, {"name": "metrics", "containerPort": 9797}],
            "readinessProbe": {
                "httpGet": {"path": "/readyz", "port": "web"},
                "periodSeconds": 1,
                "failureThreshold": 5,
            },
            "lifecycle": {"preStop": {"sleep": {"seconds": leave_seconds}}},
        }
        self.namespace.apply(
            "apps/v1",
            kind,
            name,
            spec={
                **spec,
                **({} if kind == "DaemonSet" else {"replicas": replicas}),
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        )
        port = {"name": "web", "port": 80, "targetPort": "web"}
        self.namespace.apply("v1", "Service", name, spec={"selector": labels, "ports": [port]})

    def scale(self, bounds: tuple[int, int], name: str = "shop") -> dict[str, Any]:
        """An HPA for the shop's Deployment, which follows a queue if there is one; its spec as it is stored."""
        each = {"type": "AverageValue", "averageValue": "20"}
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": bounds[0],
            "maxReplicas": bounds[1],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            "metrics": [{"type": "External", "external": {"metric": {"name": "queue_length"}, "target": each}}],
        }
        self.namespace.apply("autoscaling/v2", "HorizontalPodAutoscaler", name, spec=spec)
        return self.autoscaler(name)

    def autoscaler(self, name: str = "shop") -> dict[str, Any]:
        """The spec of its HPA."""
        found: dict[str, Any] = self.namespace.get(f"autoscaling/v2/horizontalpodautoscalers/{name}")["spec"]
        return found

    async def resize(self, number: int, name: str = "shop") -> None:
        """Writes the scale as an autoscaler does, and waits for the pods to come or go."""
        path = f"/apis/apps/v1/namespaces/{self.namespace.name}/deployments/{name}/scale"
        body, kind = {"spec": {"replicas": number}}, "application/merge-patch+json"
        await asyncio.to_thread(self.namespace.api.request, "PATCH", path, body, kind=kind)
        await self.until_ready(name)

    async def until_ready(self, name: str = "shop", *, plural: str = "deployments") -> None:
        """Waits until every pod serves, and no more than are wanted."""
        async with asyncio.timeout(60):
            while True:
                found = await asyncio.to_thread(self.namespace.get, f"apps/v1/{plural}/{name}")
                status = found["status"]
                is_seen = status.get("observedGeneration") == found["metadata"]["generation"]
                if is_seen and _is_complete(found["spec"].get("replicas"), status):
                    return
                await asyncio.sleep(0.2)

    def failures(self, name: str) -> dict[str, str]:
        """What is kept of failures of a Deployment."""
        found = self.namespace.get(f"v1/secrets/headgate-failures-{name}")
        return {key: gzip.decompress(base64.b64decode(text)).decode() for key, text in found["data"].items()}

    def release(self, version: str, strategy: dict[str, Any], name: str = "shop", **component: Any) -> dict[str, Any]:
        """A document for the shop, judged by what its pods count; None leaves a field out."""
        errors = {"name": "errors", "kind": "ratio", "source": "app", "rule": {"rollback": "2%", "interval": "2s"}}
        workload = {"kind": "kubernetes", "deployment": name, "namespace": self.namespace.name, "port": 9797}
        usual = {
            "name": name,
            "artifact": {"image": "headgate.test/podinfo"},
            "workload": workload,
            "traffic": {"kind": "gatewayApi", "httpRoute": name, "service": name},
            "strategy": strategy,
            "drain": "2s",
            "checks": [{"kind": "http", "path": "/healthz", "retries": 5, "every": "1s"}],
            "analysis": {"tick": "1s", "metrics": [errors]},
        }
        asked = {key: value for key, value in (usual | component).items() if value is not None}
        return {
            "apiVersion": "headgate.dev/v1",
            "kind": "Release",
            "metadata": {"name": name},
            "spec": {"environment": "test", "version": version, "components": [asked]},
        }

    async def until(self, name: str, true: Callable[[dict[str, Any]], bool]) -> None:
        """Waits until the status of a release is as wanted; it is not while no worker can tell."""
        handle = self.client.get_workflow_handle(f"release/test/{name}")
        while True:
            with suppress(RPCError, WorkflowQueryFailedError):
                if true(await status_of(handle)):
                    return
            await asyncio.sleep(0.2)

    async def observed_weight(self, name: str) -> float | None:
        """What a shop's release observes at now; None while it does anything else."""
        with suppress(RPCError, WorkflowQueryFailedError):
            status = await self._rollout(name).query("status")
            return float(status["weight"]) if status["phase"] == "Observing" else None
        return None

    async def first(self, name: str, activity: str, true: Callable[[dict[str, Any]], bool]) -> float:
        """When the newest Rollout of a shop first asked for an activity with such a request. Errors: LookupError."""
        async for event in self._rollout(name).fetch_history_events():
            asked = event.activity_task_scheduled_event_attributes
            if asked.activity_type.name == activity and true(json.loads(asked.input.payloads[0].data)):
                return float(event.event_time.ToNanoseconds()) / 1e9
        raise LookupError(f"{name} never asked for {activity}")

    def _rollout(self, name: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(f"rollout/bed/{self.namespace.name}/deployment/{name}")

    async def replace_worker(self) -> None:
        """The oldest worker dies without a word, and another one begins."""
        next(worker for worker in self.workers if worker.returncode is None).kill()
        await self.hire()

    async def abort(self, name: str = "shop") -> None:
        """As a person does, whatever the release is about."""
        handle = self.client.get_workflow_handle(f"release/test/{name}")
        described = await handle.describe()
        await handle.signal("abort", {"firstRunId": described.raw_info.first_run_id, "by": "ann@example.com"})

    async def start(self, document: dict[str, Any]) -> WorkflowHandle[Any, Any]:
        """Begins a release."""
        name = f"release/test/{document['metadata']['name']}"
        return await self.client.start_workflow("Release", document, id=name, task_queue=QUEUE)

    async def play(self, document: dict[str, Any]) -> tuple[str, str]:
        """Releases to the end: the outcome and its sentence."""
        return await end_of(await self.start(document))


def _is_complete(replicas: int | None, status: dict[str, Any]) -> bool:
    """Whether a workload has what it wants; a DaemonSet wants what its nodes say."""
    if replicas is None:
        wanted = status.get("desiredNumberScheduled")
        return bool(wanted) and status.get("numberAvailable") == status.get("updatedNumberScheduled") == wanted
    return bool(status.get("availableReplicas") == status.get("replicas") == replicas)


@asynccontextmanager
async def a_site(
    bed: Bed, folder: Path, *, argo_cd: bool = False, metrics: dict[str, Any] | None = None, **environment: Any
) -> AsyncIterator[Site]:
    """A Temporal server that the cluster's network reaches, two workers in there with the chart's rights, and a
    namespace.

    Metrics are providers by name; without any the pods are scraped. The rest is what the policy says about the
    environment. Argo CD's Applications are those of the same namespace.
    """
    namespace = Namespace(bed.kubeconfig)
    argo = {"argoCd": {"namespace": namespace.name}} if argo_cd else {}
    rights = {**chart.ALL, **argo, "namespaces": [namespace.name]}
    try:
        account = Server(bed.kubeconfig).join(chart.find_helm(folder / "helm"), folder, namespace.name, **rights)
        cluster = {"kubeconfig": str(account.kubeconfig), **argo}
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(
                await WorkflowEnvironment.start_local(
                    data_converter=pydantic_data_converter,
                    dev_server_existing_path=str(Toolbox().temporal().path),
                    dev_server_log_level="error",
                    search_attributes=KEYS,
                )
            )
            address = await stack.enter_async_context(
                _reachable(server.client.service_client.config.target_host, bed.cluster.layout.host_address)
            )
            workers = list[asyncio.subprocess.Process]()

            async def hire() -> None:
                place = folder / str(len(workers) + 1)
                _configure(bed, place, namespace.name, cluster=cluster, metrics=metrics or {}, environment=environment)
                workers.append(await stack.enter_async_context(_worker(bed, place, address)))

            await hire()
            await hire()
            yield Site(bed, server.client, namespace, hire, workers, folder)
    finally:
        namespace.close()


@asynccontextmanager
async def _reachable(target: str, address: str) -> AsyncIterator[str]:
    """A port at an address of the cluster's network that leads to a server on the loopback."""
    host, port = target.split(":")

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(carry(reader, back), carry(there, writer))

    async with await asyncio.start_server(accept, address, 0) as server:
        yield f"{address}:{server.sockets[0].getsockname()[1]}"


def inside(bed: Bed, command: list[str]) -> list[str]:
    """The command that runs one where pods have addresses, for as long as it runs itself: it passes no signal on."""
    return bed.cluster.inside(["setpriv", "--pdeathsig", "KILL", "--", *command])


@asynccontextmanager
async def _worker(bed: Bed, folder: Path, address: str) -> AsyncIterator[asyncio.subprocess.Process]:
    log = folder / "log"
    command = inside(bed, [sys.executable, "-m", "worker", "--settings", str(folder / "settings.yaml")])
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HEADGATE_", "TEMPORAL_"))},
        "PYTHONPATH": str(ROOT),
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_CONFIG_FILE": str(folder / "none.toml"),
    }
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(*command, env=environ, stderr=file)
    try:
        async with asyncio.timeout(90):  # The machine may have other things to do.
            while "polling" not in log.read_text():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.1)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _configure(
    bed: Bed,
    folder: Path,
    namespace: str,
    *,
    cluster: dict[str, Any],
    metrics: dict[str, Any],
    environment: dict[str, Any],
) -> None:
    """Writes settings and policy."""
    folder.mkdir()
    test = {**environment, "targets": [{"cluster": "bed", "namespaces": [namespace]}]}
    policy = {"apiVersion": "headgate.dev/v1", "kind": "Policy", "spec": {"environments": {"test": test}}}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    settings = {
        "policy": "policy.yaml",
        "health": {"bind": f"{bed.cluster.layout.address}:0"},
        # Of its own namespace alone: the janitor of another Temporal server would take these releases for lost ones.
        "kubernetes": {"clusters": {"bed": {"namespaces": [namespace], **cluster}}},
        "metrics": metrics,
        "audit": {"file": {"kind": "jsonl", "directory": "audit"}},
        "registries": {"check": False},  # The images are on the node, and there is no way to any registry.
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
