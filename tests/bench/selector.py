"""From a person's word until a real API server has the selector that sends all users to the other version."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.kinds import SERVICE
from activities.clusters.kubernetes.settings import KubernetesCluster
from cli.client import Headgate
from cli.names import Ref
from infra.testbed.bed import bed
from tests.bench.beds import on_a_bed
from tests.bench.rows import Measured, Row, Say
from tests.cluster import NEEDED
from tests.e2e.market import Market, a_market

REPEATS = 6
LIMIT = 1.0
STRATEGY = {"kind": "blueGreen", "watch": "30m"}


@on_a_bed(*NEEDED)
async def measure(say: Say) -> Measured:
    """A row for the way there and one for the way back."""
    say("switching a Service's selector")
    with bed(name="bench-api") as found, tempfile.TemporaryDirectory() as folder:
        async with a_market(found.kubeconfig, Path(folder)) as market:
            market.open("shop")
            pairs = [await _switched(market, f"v{number}") for number in range(1, REPEATS + 1)]
    note = "from the call of the client until a watch of the Service says so; one worker, kwok's pods"
    there, back = zip(*pairs, strict=True)
    return Measured(
        [
            Row.under("approve → a Service's selector leads to the new version", LIMIT, there, note),
            Row.under("abort → it leads back", LIMIT, back),
        ]
    )


async def _switched(market: Market, version: str) -> tuple[float, float]:
    """Seconds there and back."""
    traffic = {"kind": "service", "service": "shop"}
    document = market.release("shop", version, environment="gated", traffic=traffic, strategy=STRATEGY)
    headgate, ref = Headgate(market.client), Ref("gated", "shop")
    handle = await market.start(document)
    await market.until(handle, lambda status: any(gate["state"] == "open" for gate in status["gates"]))
    await asyncio.sleep(1)
    there = await _timed(market, headgate.approve(ref, "people", by="ann@example.com"))
    await market.until(handle, lambda status: status["phase"] == "Watching")
    await asyncio.sleep(1)
    back = await _timed(market, headgate.abort(ref, by="ann@example.com"))
    await headgate.wait(ref)
    return there, back


async def _timed(market: Market, saying: Awaitable[object]) -> float:
    """How long after a word the selector is another one."""
    api = Api("bench", KubernetesCluster(kubeconfig=market.namespace.kubeconfig, calls_per_second=1000))
    opened = asyncio.Event()
    changed = asyncio.create_task(_changed(api, market.namespace.name, opened))
    try:
        await opened.wait()
        begun = time.perf_counter()
        await saying
        return await asyncio.wait_for(changed, 60) - begun
    finally:
        await api.close()


async def _changed(api: Api, namespace: str, opened: asyncio.Event) -> float:
    before = (await api.get(SERVICE, namespace, "shop"))["spec"]["selector"]
    async for _ in api.watch(SERVICE, namespace, fields="metadata.name=shop", seconds=60):
        opened.set()
        if (await api.get(SERVICE, namespace, "shop"))["spec"]["selector"] != before:
            return time.perf_counter()
    raise RuntimeError("the selector stayed as it was for a minute")
