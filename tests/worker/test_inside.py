"""Two kinds of worker processes: those that decide, and those inside a cluster that nothing else reaches."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from tests.cluster import Namespace
from tests.temporal import address_of, status_of, unique
from tests.worker.process import WorkerProcess, a_worker

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(400)]


@dataclass
class Country:
    """A cluster with its own worker, and the worker that decides somewhere else."""

    client: Client
    address: str
    folder: Path
    namespace: Namespace
    queue: str

    @asynccontextmanager
    async def decider(self) -> AsyncIterator[WorkerProcess]:
        """It has no kubeconfig at all."""
        folder = self.folder / "outside"
        folder.mkdir()
        targets = [{"cluster": "far", "namespaces": [self.namespace.name]}]
        policy = {"spec": {"environments": {"test": {"targets": targets}}}, "kind": "Policy"}
        (folder / "policy.yaml").write_text(yaml.safe_dump({"apiVersion": "headgate.dev/v1", **policy}))
        settings = {
            "taskQueue": self.queue,
            "policy": "policy.yaml",
            "kubernetes": {"clusters": {"far": {"queue": f"{self.queue}-far"}}},
        }
        async with a_worker(folder, self.address, yaml.safe_dump(settings)) as worker:
            await worker.ready()
            yield worker

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[WorkerProcess]:
        """It knows no policy and decides nothing."""
        folder = self.folder / unique("inside")
        folder.mkdir()
        cluster = {"kubeconfig": str(self.namespace.kubeconfig), "namespaces": [self.namespace.name]}
        settings = {
            "taskQueue": f"{self.queue}-far",
            "workflows": False,
            "kubernetes": {"clusters": {"far": cluster}},
        }
        async with a_worker(folder, self.address, yaml.safe_dump(settings)) as worker:
            await worker.ready()
            yield worker

    async def release(self, version: str, watch: str) -> WorkflowHandle[Any, Any]:
        component = {
            "name": "trip",
            "artifact": {"image": "registry.test/trip"},
            "workload": {"kind": "kubernetes", "deployment": "trip"},
            "traffic": {"kind": "none"},
            "strategy": {"kind": "rolling", "watch": watch},
        }
        document = {
            "apiVersion": "headgate.dev/v1",
            "kind": "Release",
            "metadata": {"name": self.queue},
            "spec": {"environment": "test", "version": version, "components": [component]},
        }
        return await self.client.start_workflow(
            "Release", document, id=f"release/test/{self.queue}", task_queue=self.queue
        )

    def image(self) -> str:
        spec = self.namespace.get("apps/v1/deployments/trip")["spec"]["template"]["spec"]
        return str(spec["containers"][0]["image"])


@pytest.fixture
async def country(
    dev_server: WorkflowEnvironment, client: Client, kubeconfig: Path, tmp_path: Path
) -> AsyncIterator[Country]:
    namespace = Namespace(kubeconfig)
    namespace.deployment(replicas=2)
    try:
        yield Country(client, address_of(dev_server), tmp_path, namespace, unique("country"))
    finally:
        namespace.close()


async def until(handle: WorkflowHandle[Any, Any], true: Callable[[dict[str, Any]], bool]) -> None:
    async with asyncio.timeout(120):
        while True:
            if true(await status_of(handle)):
                return
            await asyncio.sleep(0.2)


def waits(reason: str) -> Callable[[dict[str, Any]], bool]:
    return lambda status: (status["wait"] or {}).get("reason") == reason


async def killed(worker: WorkerProcess) -> None:
    worker.signal(signal.SIGKILL)
    await worker.ended()


async def test_a_release_waits_for_the_worker_inside_and_an_undo_does_so_for_ever(country: Country) -> None:
    async with country.decider():
        async with country.inside() as first:
            handle = await country.release("v1", watch="5s")
            await until(handle, lambda status: bool(status["phase"] == "Watching"))
            await killed(first)
        await until(handle, waits("NoWorkerForCluster"))
        async with country.inside() as second:
            assert (await handle.result())["outcome"] == "Succeeded"
            assert country.image() == "registry.test/trip:v1"

            handle = await country.release("v2", watch="1h")
            await until(handle, lambda status: bool(status["phase"] == "Watching"))
            assert country.image() == "registry.test/trip:v2"
            await killed(second)
        run = (await status_of(handle))["firstRunId"]
        await handle.execute_update("abort", {"firstRunId": run, "by": "ann@example.com"})
        await until(handle, waits("UndoBlocked"))
        assert country.image() == "registry.test/trip:v2"
        async with country.inside():
            with pytest.raises(WorkflowFailureError) as ended:
                await handle.result()
    assert isinstance(ended.value.cause, ApplicationError)
    assert ended.value.cause.type == "Aborted"
    assert country.image() == "registry.test/trip:v1"
