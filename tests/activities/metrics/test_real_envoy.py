"""The envoy source against a real Envoy: what users saw as failed must be counted as failed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from activities.metrics.clock import SystemClock
from activities.metrics.openmetrics import OpenMetricsProvider, OpenMetricsSettings
from activities.metrics.protocol import Query
from tests.activities.metrics.observing import a_target
from tests.activities.metrics.pages import Instances
from tests.activities.world import envoy_program, free_ports
from workflows.analysis.arms import read
from workflows.analysis.batches import Batch
from workflows.analysis.counters import Raw, remembered
from workflows.model.analysis import Analysis

ANALYSIS = Analysis.model_validate(
    {
        "metrics": [
            {"name": "errors", "kind": "ratio", "source": "envoy", "rule": {"rollback": "1%"}},
            {"name": "latency", "kind": "histogram", "source": "envoy", "rule": {"rollback": "500ms"}},
        ]
    }
)


async def _service(request: web.Request) -> web.Response:
    match request.path:
        case "/500":
            return web.Response(status=500)
        case "/404":
            return web.Response(status=404)
        case "/reset" if request.transport is not None:
            request.transport.abort()
        case "/hang":
            await asyncio.sleep(1)
        case _:
            pass
    return web.Response(text="ok")


def _cluster(name: str, *ports: int) -> dict[str, Any]:
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports
    ]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}] if hosts else []},
    }


def _configuration(*, admin: int, listen: int, alive: int, dead: int) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"
    routes = [
        {"match": {"prefix": "/dead"}, "route": {"cluster": "trip.stable"}},
        {"match": {"prefix": "/empty"}, "route": {"cluster": "empty.canary"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "trip.canary", "timeout": "0.2s"}},
    ]
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "trip",
        "route_config": {"name": "trip", "virtual_hosts": [{"name": "users", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
        ],
    }
    listener = {
        "name": "trip",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": listen}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "stats_flush_interval": "0.1s",
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster("trip.canary", alive), _cluster("trip.stable", dead), _cluster("empty.canary")],
        },
    }


class Front:
    """A running Envoy before one live instance, a dead one and an empty cluster."""

    def __init__(self, admin: int, listen: int, session: aiohttp.ClientSession) -> None:
        self.admin = f"http://127.0.0.1:{admin}"
        self.users = f"http://127.0.0.1:{listen}"
        self.session = session

    async def ask(self, path: str, times: int) -> set[int]:
        statuses = set()
        for _ in range(times):
            async with self.session.get(self.users + path) as answer:
                statuses.add(answer.status)
        return statuses


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    admin, listen, alive, dead = free_ports(4)
    app = web.Application()
    app.router.add_get("/{path:.*}", _service)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", alive).start()
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(_configuration(admin=admin, listen=listen, alive=alive, dead=dead)))
    command = [
        str(envoy_program()),
        "-c",
        str(file),
        "--concurrency",
        "1",
        "--log-level",
        "off",
        "--disable-hot-restart",
    ]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with aiohttp.ClientSession() as session:
            front = Front(admin, listen, session)
            await _ready(front)
            yield front
    finally:
        process.kill()
        await process.wait()
        await runner.cleanup()


async def _ready(front: Front) -> None:
    for _ in range(400):
        try:
            async with front.session.get(f"{front.admin}/ready") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.02)
    pytest.fail("the Envoy did not get ready")


async def test_every_way_to_fail_counts_as_failed(front: Front) -> None:
    provider = OpenMetricsProvider(OpenMetricsSettings(envoys=(front.admin,)), Instances())
    query = Query(a_target(), ANALYSIS.metrics, ("canary",), ("stable",), "v2", SystemClock(), 0)
    try:
        raw = remembered({}, (await provider.read(query)).units, at=0)
        assert await front.ask("/ok", 20) == {200}
        assert await front.ask("/404", 2) == {404}
        assert await front.ask("/500", 3) == {500}
        assert await front.ask("/reset", 4) == {503}
        assert await front.ask("/hang", 1) == {504}
        assert await front.ask("/dead", 5) == {503}
        assert await front.ask("/empty", 6) == {503}
        batch = await provider.read(query)
        canary, stable = _counted(batch, raw)
        assert canary == {"total": 30, "bad": 8}
        assert stable == {"total": 5, "bad": 5}
        assert await until_durations(provider, query) == 25, "resets and timeouts have no duration"
        assert not (await provider.read(query)).missing
    finally:
        await provider.close()


def _counted(batch: Batch, raw: Raw) -> tuple[dict[str, float], dict[str, float]]:
    increases = read(batch, raw, since=0).increases
    by_slot = {unit.slot: increases[unit.id].counters["errors"] for unit in batch.units}
    return by_slot["canary"], by_slot["stable"]


async def until_durations(provider: OpenMetricsProvider, query: Query) -> float:
    """The number of durations once Envoy has added them up."""
    counted = 0.0
    for _ in range(100):
        unit = next(unit for unit in (await provider.read(query)).units if unit.slot == "canary")
        counted = sum(unit.counters["latency"].get("+Inf", {}).values())
        if counted:
            break
        await asyncio.sleep(0.05)
    return counted


async def test_envoy_that_has_served_nobody_is_an_answer(front: Front) -> None:
    provider = OpenMetricsProvider(OpenMetricsSettings(envoys=(front.admin,)), Instances())
    query = Query(a_target(), ANALYSIS.metrics, ("canary",), ("stable",), "v2", SystemClock(), 0)
    try:
        batch = await provider.read(query)
        assert not batch.missing
        assert {unit.slot for unit in batch.units} == {"canary", "stable"}
        assert batch.units[0].started is not None
        assert abs(batch.units[0].started - batch.at) < 60
    finally:
        await provider.close()
