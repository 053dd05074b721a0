"""Whole releases on a real API server whose pods are ready by themselves: everything but a data plane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from tests.activities.world import until as until_true
from tests.cluster import Namespace
from tests.temporal import end_of, status_of, unique
from tests.worker.process import WorkerProcess, a_worker

Handle = WorkflowHandle[Any, Any]


@dataclass
class Land:
    """A namespace, and workers that release there."""

    client: Client
    address: str
    folder: Path
    namespace: Namespace
    queue: str

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[WorkerProcess]:
        """One more worker."""
        folder = self.folder / unique("worker")
        folder.mkdir()
        targets = [{"cluster": "bed", "namespaces": [self.namespace.name]}]
        policy = {"spec": {"environments": {"test": {"targets": targets}}}, "kind": "Policy"}
        (folder / "policy.yaml").write_text(yaml.safe_dump({"apiVersion": "headgate.dev/v1", **policy}))
        cluster = {"kubeconfig": str(self.namespace.kubeconfig), "namespaces": [self.namespace.name]}
        settings = {
            "taskQueue": self.queue,
            "policy": "policy.yaml",
            "kubernetes": {"clusters": {"bed": cluster | {"callsPerSecond": 500}}},
            "registries": {"check": False},
        }
        async with a_worker(folder, self.address, yaml.safe_dump(settings)) as worker:
            await worker.ready()
            yield worker

    async def release(self, version: str, strategy: dict[str, Any], name: str = "trip", **component: Any) -> Handle:
        """Starts a release of one component, without metrics: nobody is asked anything here."""
        usual = {
            "name": name,
            "artifact": {"image": f"registry.test/{name}"},
            "workload": {"kind": "kubernetes", "deployment": name},
            "traffic": {"kind": "none"},
            "strategy": strategy,
        }
        called = f"{self.queue}-{name}"  # Other tests release components of the same name on the same server.
        document = {
            "apiVersion": "headgate.dev/v1",
            "kind": "Release",
            "metadata": {"name": called},
            "spec": {"environment": "test", "version": version, "components": [usual | component]},
        }
        return await self.start(document)

    async def start(self, document: dict[str, Any]) -> Handle:
        """Starts the release of a whole document, of the environment `test`."""
        name = f"release/test/{document['metadata']['name']}"
        return await self.client.start_workflow("Release", document, id=name, task_queue=self.queue)

    async def abort(self, handle: Handle) -> None:
        """As a person does."""
        run = (await status_of(handle))["firstRunId"]
        await handle.execute_update("abort", {"firstRunId": run, "by": "ann@example.com"})

    def spec(self, path: str) -> Any:
        """The spec of an object as it is now."""
        return self.namespace.get(path)["spec"]

    async def until_available(self, path: str, number: int = 3, *, field: str = "availableReplicas") -> None:
        """Waits until so many pods of a workload are."""
        assert await until_true(lambda: (self.namespace.get(path).get("status") or {}).get(field) == number)


def at(weight: float) -> Callable[[dict[str, Any]], bool]:
    """Whether a release has brought so many users to its version."""
    return lambda status: [component["weight"] for component in status["components"]] == [weight]


async def until(handle: Handle, true: Callable[[dict[str, Any]], bool]) -> None:
    """Waits until the status of a release is as wanted, and no longer than the release lasts."""
    async with asyncio.timeout(120):
        while not true(await status_of(handle)):
            if (await handle.describe()).status != WorkflowExecutionStatus.RUNNING:
                pytest.fail(str(await end_of(handle)))
            await asyncio.sleep(0.2)
