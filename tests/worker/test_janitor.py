"""What lost releases leave on a real API server is settled from its mark, by workers wired as in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from activities.references.settings import RegistrySettings
from tests.activities.world import until
from tests.builders import a_policy
from tests.cluster import Namespace
from tests.temporal import unique
from tests.workflows.test_lost_runs import reset
from worker.service import make_workers
from worker.settings import Settings
from worker.wiring import wire
from workflows.janitor import SCHEDULE_ID

pytestmark = pytest.mark.cluster

STRATEGIES: dict[str, dict[str, Any]] = {
    "blueGreen": {"kind": "blueGreen", "watch": "2s"},
    "rolling": {"kind": "rolling", "watch": "2s"},
}


class Shop:
    """A Deployment behind a Service, and workers that release there."""

    def __init__(self, client: Client, namespace: Namespace) -> None:
        self.client, self.namespace, self.queue, self.name = client, namespace, unique("q"), unique("trip")

    def stock(self) -> None:
        self.namespace.deployment("trip", replicas=2, image="v1")
        self.namespace.apply("v1", "Service", "trip", spec={"selector": {"app": "trip"}, "ports": [{"port": 80}]})

    async def until_ready(self) -> None:
        assert await until(lambda: self.get("apps/v1/deployments/trip")["status"].get("availableReplicas") == 2)

    def get(self, path: str) -> Any:
        return self.namespace.get(path)

    def picture(self) -> dict[str, Any]:
        """What users depend on, and what must be gone."""
        paths = ("apps/v1/deployments/trip", "v1/services/trip")
        return {
            **{path: self.get(path)["spec"] for path in paths},
            "canary": self.get("apps/v1/deployments/trip-canary"),
        }

    def versions(self) -> dict[str, str]:
        """Of every object that may be written: any write at all changes one."""
        paths = ("apps/v1/deployments/trip", "v1/services/trip", "v1/secrets/headgate-deployment-trip")
        return {path: self.get(path)["metadata"]["resourceVersion"] for path in paths}

    @property
    def release(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(f"release/production/{self.name}")

    @property
    def rollout(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(f"rollout/test/{self.namespace.name}/deployment/trip")

    async def start(self, version: str, strategy: dict[str, Any]) -> None:
        component = {
            "name": "trip",
            "artifact": {"image": "registry.test/trip"},
            "workload": {"kind": "kubernetes", "deployment": "trip"},
            "traffic": {"kind": "service", "service": "trip"},
            "strategy": strategy,
            "drain": "1s",
        }
        spec = {"environment": "production", "version": version, "components": [component]}
        document = {
            "apiVersion": "headgate.dev/v1",
            "kind": "Release",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        await self.client.start_workflow("Release", document, id=self.release.id, task_queue=self.queue)

    async def end(self) -> str:
        try:
            result = await asyncio.wait_for(self.release.result(), 90)
        except WorkflowFailureError as error:
            return str(error.cause)
        return str(result["outcome"])

    async def moved(self, version: str) -> None:
        """Waits until the new version has been written where it goes."""
        paths = ("apps/v1/deployments/trip-canary", "apps/v1/deployments/trip")

        def is_there() -> bool:
            found = [self.get(path) for path in paths]
            images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in found if one]
            return f"registry.test/trip:{version}" in images

        assert await until(is_there, seconds=60)

    async def janitor(self) -> int:
        round_id = f"{SCHEDULE_ID}-{unique('round')}"
        taken: int = await self.client.execute_workflow("Janitor", id=round_id, task_queue=self.queue)
        return taken

    async def is_settled(self) -> bool:
        """Whether no Rollout runs and no mark is left, after one more round."""
        taken = await self.janitor()
        try:
            described = await self.rollout.describe()
        except RPCError:
            return False
        return described.status is not WorkflowExecutionStatus.RUNNING and taken == 0

    async def settled(self) -> None:
        async with asyncio.timeout(90):
            while not await self.is_settled():  # noqa: ASYNC110 - the server sends no events.
                await asyncio.sleep(0.3)


@pytest.fixture
async def shop(client: Client, kubeconfig: Path) -> AsyncIterator[Shop]:
    namespace = Namespace(kubeconfig)
    made = Shop(client, namespace)
    cluster = KubernetesCluster(kubeconfig=kubeconfig, namespaces=(namespace.name,), calls_per_second=1000)
    settings = Settings(
        task_queue=made.queue,
        kubernetes=KubernetesSettings(clusters={"test": cluster}),
        registries=RegistrySettings(check=False),
    )
    wired = wire(settings, a_policy().places(test=[namespace.name]).parsed(), client)
    made.stock()
    await made.until_ready()
    async with AsyncExitStack() as stack:
        for worker in make_workers(client, settings, wired):
            await stack.enter_async_context(worker)
        yield made
    for provider in wired.providers:
        await provider.close()
    namespace.close()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_terminated_release_is_settled_and_a_later_one_is_never_touched(shop: Shop, strategy: str) -> None:
    before = shop.picture()
    await shop.start("v2", {**STRATEGIES[strategy], "watch": "1h"})
    await shop.moved("v2")
    await shop.rollout.terminate()
    await shop.release.terminate()
    assert await shop.janitor() == 1
    await shop.settled()
    assert shop.picture() == before

    await shop.start("v3", STRATEGIES[strategy])
    assert await shop.end() == "Succeeded"
    await shop.until_ready()
    after, versions = shop.picture(), shop.versions()
    assert [await shop.janitor() for _ in range(10)] == [0] * 10
    assert shop.picture() == after
    assert after["apps/v1/deployments/trip"]["template"]["spec"]["containers"][0]["image"] == "registry.test/trip:v3"
    assert shop.versions()["v1/secrets/headgate-deployment-trip"] == versions["v1/secrets/headgate-deployment-trip"]
    assert shop.versions()["v1/services/trip"] == versions["v1/services/trip"]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["release", "rollout"])
async def test_a_reset_release_is_settled(shop: Shop, which: str) -> None:
    """The new run finds the mark of the old one, which is no baseline: what was there comes back first."""
    before = shop.picture()
    await shop.start("v2", {**STRATEGIES["blueGreen"], "watch": "1h"})
    await shop.moved("v2")
    await reset(getattr(shop, which), shop.client, last=False)
    await asyncio.sleep(1)
    await shop.release.terminate()
    await shop.settled()
    assert shop.picture() == before
