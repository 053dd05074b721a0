"""A node goes away in the middle of a release, with all pods that it had.

On an API server whose two nodes and their pods kwok plays: the test bed has one real node, and without that nothing
serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from infra.testbed.bed import bed
from infra.testbed.manifests import MANIFESTS
from tests.cluster import NEEDED, UNBUILT, is_built
from tests.e2e.market import Market, a_market
from tests.temporal import status_of

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(400)]

DEPLOYMENT = "apps/v1/deployments/shop"
NODE = "fake-b"


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    """On a cluster of its own, for its nodes are everybody's."""
    if not is_built(*NEEDED):
        pytest.skip(UNBUILT)
    with bed() as cluster:
        async with a_market(cluster.kubeconfig, tmp_path) as made:
            made.open("shop", replicas=4)
            yield made


async def at(market: Market, handle: Any, weight: float) -> None:
    """Waits until so many users have the new version."""
    await market.until(handle, lambda status: [one["weight"] for one in status["components"]] == [weight])


def pods(market: Market) -> dict[str, str]:
    """The node of each pod."""
    found = market.namespace.api.get(f"/api/v1/namespaces/{market.namespace.name}/pods")["items"]
    return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in found}


def take_away(market: Market) -> list[str]:
    """What a cloud does with a machine that it has lost; the pods that it had."""
    lost = [name for name, node in pods(market).items() if node == NODE]
    market.namespace.api.request("DELETE", f"/api/v1/nodes/{NODE}")
    for name in lost:
        path = f"/api/v1/namespaces/{market.namespace.name}/pods/{name}"
        market.namespace.api.request("DELETE", path, {"gracePeriodSeconds": 0})
    return lost


async def test_a_node_that_goes_away_takes_its_pods_and_neither_a_release_nor_its_undo(market: Market) -> None:
    good = await market.start(market.release("shop", "v1"))
    await at(market, good, 20)
    lost = await asyncio.to_thread(take_away, market)
    assert [name for name in lost if name.startswith("shop-")]
    assert (await good.result())["outcome"] == "Succeeded"
    assert NODE not in pods(market).values()
    before = market.namespace.get(DEPLOYMENT)["spec"]

    market.namespace.api.apply(MANIFESTS / "fake-nodes.yaml")
    aborted = await market.start(market.release("shop", "v2"))
    await at(market, aborted, 50)
    status = await status_of(aborted)
    assert await asyncio.to_thread(take_away, market)
    await aborted.signal("abort", {"firstRunId": status["firstRunId"], "by": "ann@example.com"})
    with pytest.raises(WorkflowFailureError):
        await aborted.result()
    assert (await status_of(aborted))["phase"] == "Aborted"
    assert market.namespace.get(DEPLOYMENT)["spec"] == before
    assert market.namespace.get(f"{DEPLOYMENT}-canary") is None
    assert NODE not in pods(market).values()
