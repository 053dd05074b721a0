"""Many shops on an API server whose pods kwok plays, and one worker for all of them.

Nothing runs in the pods: they have the address of this machine, where one page of metrics speaks for each of them. So
everything that a worker does is real, its calls to the API server and its scrapes included, and only users are not.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from infra.testbed.errors import BedError
from tests.bench.histories import events, lost_attempts
from tests.bench.ledger import Ledger, read
from tests.cluster import Namespace
from tests.temporal import a_dev_server, address_of, status_of
from tests.worker.process import WorkerProcess, a_worker

QUEUE = "headgate"
ADDRESS = "testbed.headgate.dev/address"
"""The annotation by which a pod of kwok gets an address of our choice."""
RATE = 50
"""Requests that each pod says it has answered in a second."""


@dataclass
class Market:
    """Where the releases happen."""

    client: Client
    namespace: Namespace
    worker: WorkerProcess
    address: str
    port: int

    async def open_all(self, count: int) -> list[str]:
        """So many shops, by name."""
        names = [f"shop-{number}" for number in range(count)]
        await asyncio.to_thread(lambda: list(map(self.open, names)))
        return names

    def open(self, name: str, *, replicas: int = 2) -> None:
        """A Deployment, its Service, and an Ingress that ingress-nginx would serve."""
        labels = {"app": name}
        container = {"name": "shop", "image": "headgate.test/shop:v0"}
        pod = {
            "metadata": {"labels": labels, "annotations": {ADDRESS: self.address}},
            "spec": {"containers": [container]},
        }
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
        self.namespace.apply("apps/v1", "Deployment", name, spec=spec)
        self.namespace.apply("v1", "Service", name, spec={"selector": labels, "ports": [{"name": "web", "port": 80}]})
        backend = {"service": {"name": name, "port": {"name": "web"}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        rules = [{"host": f"{name}.example.com", "http": {"paths": paths}}]
        self.namespace.apply(
            "networking.k8s.io/v1", "Ingress", name, spec={"ingressClassName": "nginx", "rules": rules}
        )

    def release(self, name: str, version: str, *, environment: str = "test", **component: Any) -> dict[str, Any]:
        """A canary of two stages, judged by what its pods say every ten seconds."""
        errors = {"name": "errors", "kind": "ratio", "source": "app", "rule": {"rollback": "2%", "interval": "10s"}}
        workload = {"kind": "kubernetes", "deployment": name, "namespace": self.namespace.name, "port": self.port}
        stages = [{"weight": weight, "observe": "30s"} for weight in (20, 50)]
        usual = {
            "name": name,
            "artifact": {"image": "headgate.test/shop"},
            "workload": workload,
            "traffic": {"kind": "nginx", "ingress": name, "service": name},
            "strategy": {"kind": "canary", "stages": stages, "watch": "30s"},
            "drain": "2s",
            "analysis": {"tick": "10s", "metrics": [errors]},
        }
        return {
            "apiVersion": "headgate.dev/v1",
            "kind": "Release",
            "metadata": {"name": name},
            "spec": {"environment": environment, "version": version, "components": [usual | component]},
        }

    async def start(self, document: dict[str, Any]) -> WorkflowHandle[Any, Any]:
        """Begins a release."""
        place = f"{document['spec']['environment']}/{document['metadata']['name']}"
        return await self.client.start_workflow("Release", document, id=f"release/{place}", task_queue=QUEUE)

    async def until(self, handle: WorkflowHandle[Any, Any], true: Callable[[dict[str, Any]], bool]) -> None:
        """Waits until the status of a release is as wanted."""
        async with asyncio.timeout(120):
            while not true(await status_of(handle)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def ledger(self) -> Ledger:
        """The worker's calls so far."""
        return await read([await self.worker.address()])

    async def lost_attempts(self, name: str) -> Counter[str]:
        """What a shop's newest release asked of the worker and did not get in time."""
        ids = (f"release/test/{name}", f"rollout/bed/{self.namespace.name}/deployment/{name}")
        return sum([lost_attempts(await events(self.client, each)) for each in ids], Counter())


@asynccontextmanager
async def a_market(kubeconfig: Path, folder: Path) -> AsyncIterator[Market]:
    """A Temporal server, a worker, a page for all pods, and a namespace."""
    address = own_address()
    namespace = Namespace(kubeconfig)
    try:
        async with a_dev_server() as server, _page(address) as port, _worker(server, namespace, folder) as worker:
            yield Market(server.client, namespace, worker, address, port)
    finally:
        namespace.close()


def own_address() -> str:
    """One of this machine that is not on the loopback, where no endpoint of a Service may be. Errors: BedError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # Nothing is sent: it only asks which way that would go.
        except OSError as error:
            raise BedError("This machine has no address but the loopback, where no endpoint may be.") from error
        return str(probe.getsockname()[0])


@asynccontextmanager
async def _page(address: str) -> AsyncIterator[int]:
    """The port of a page by which every pod has answered so many requests since it began, all of them well."""
    begun = time.time()

    async def metrics(_: web.Request) -> web.Response:
        count = RATE * (time.time() - begun)
        lines = (f"process_start_time_seconds {begun}", f'http_requests_total{{code="200"}} {count:.0f}')
        return web.Response(text="\n".join(lines) + "\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _worker(server: WorkflowEnvironment, namespace: Namespace, folder: Path) -> AsyncIterator[WorkerProcess]:
    place = {"targets": [{"cluster": "bed", "namespaces": [namespace.name]}]}
    gate = {"name": "people", "count": 1, "from": ["people"]}
    environments = {"test": place, "gated": {**place, "approvals": [gate]}}
    spec = {"groups": {"people": ["ann@example.com"]}, "environments": environments}
    policy = {"apiVersion": "headgate.dev/v1", "kind": "Policy", "spec": spec}
    await asyncio.to_thread((folder / "policy.yaml").write_text, yaml.safe_dump(policy))
    cluster = {"kubeconfig": str(namespace.kubeconfig), "namespaces": [namespace.name]}
    settings = {
        "policy": "policy.yaml",
        "kubernetes": {"clusters": {"bed": cluster}},
        "registries": {"check": False},
    }
    text, janitor = yaml.safe_dump(settings), {"HEADGATE_JANITOR__ENABLED": "true"}
    async with a_worker(folder, address_of(server), text, **janitor) as worker:
        await worker.ready()
        yield worker
