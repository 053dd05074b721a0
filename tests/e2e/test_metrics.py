"""Releases on a real cluster that a real Prometheus judges: by what Contour's Envoy counts, and by what the pods do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from infra.testbed.bed import Bed
from tests.e2e.shops import Shop, opened
from tests.e2e.site import QUEUE, Site, a_site
from tests.e2e.visitors import Visitors
from workflows.engine.examination import Examination

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(600)]

STRATEGY: dict[str, Any] = {
    "kind": "canary",
    "entry": "none",
    "stages": [{"weight": 20, "observe": "8s"}, {"weight": 50, "observe": "8s"}],
    "watch": "4s",
}
CASES = {"proxied": ("contour", "contour"), "routed": ("gatewayApi", "contour"), "counted": ("gatewayApi", "app")}
"""Shops with their router and the source of their metrics."""


@pytest.fixture
async def shops(full_bed: Bed, tmp_path: Path) -> AsyncIterator[list[Shop]]:
    url = full_bed.prometheus or await asyncio.to_thread(full_bed.cluster.add, "prometheus")
    store = {"kind": "prometheus", "url": url, "scrapeInterval": "1s", "lag": "1s"}
    async with a_site(full_bed, tmp_path, metrics={"main": store}) as site:
        made = [
            Shop(name, router, STRATEGY, site, Visitors(full_bed.gateway, site.host_of(name)))
            for name, (router, _) in CASES.items()
        ]
        async with opened(made) as found:
            yield found


def judged(shop: Shop, version: str) -> dict[str, Any]:
    """A document that leaves the verdict to evidence."""
    source = CASES[shop.name][1]
    errors = {"name": "errors", "kind": "ratio", "source": source, "compare": {}, "slo": {"max": "2%"}}
    document = shop.release(version)
    (component,) = document["spec"]["components"]
    component["analysis"] = {"tick": "1s", "minRequests": 100, "metrics": [errors]}
    return document


async def test_good_versions_pass_and_bad_ones_are_found_in_the_series_of_each_source(shops: list[Shop]) -> None:
    site = shops[0].site
    for shop in shops:
        assert await _requests_per_second(site, judged(shop, "1.1.0")) > 1, shop.name
    good = await asyncio.gather(*(site.play(judged(shop, "1.1.0")) for shop in shops))
    assert good == [("Succeeded", "1.1.0 takes all traffic")] * len(shops)
    bad = await asyncio.gather(*(site.play(judged(shop, "1.1.1-errors")) for shop in shops))
    assert {outcome for outcome, _ in bad} == {"RolledBack"}, bad
    assert all("a healthy version shows this less than once" in message for _, message in bad), bad


async def _requests_per_second(site: Site, document: dict[str, Any]) -> float:
    """As `headgate doctor FILE` asks, once a minute of traffic was scraped."""
    name = document["metadata"]["name"]
    async with asyncio.timeout(120):
        while True:
            found: Examination = await site.client.execute_workflow(
                "Inquiry", args=["metrics", document], id=f"inquiry/{name}", task_queue=QUEUE, result_type=Examination
            )
            (examined,) = found.components.values()
            if not examined.problems and not any(metric.problems for metric in examined.metrics):
                return next(
                    seen.requests_per_second or 0 for seen in examined.metrics[0].versions if seen.slot == "stable"
                )
            await asyncio.sleep(5)
