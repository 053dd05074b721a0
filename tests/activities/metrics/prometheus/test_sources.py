"""Every source against a real Prometheus that scrapes what its data plane writes, for both versions of a Deployment."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from aiohttp import web

from activities.metrics.prometheus.querysets import QUERY_SETS
from activities.metrics.protocol import Query
from tests.activities.metrics.observing import an_analysis
from tests.activities.metrics.pages import FakeClock
from tests.activities.metrics.prometheus.recording import Recorded, a_deployment, settings
from tests.prometheus import Prometheus, a_prometheus, canary, stable
from workflows.analysis.arms import read
from workflows.analysis.batches import BAD, INFINITY, TOTAL, Batch
from workflows.errors import Rejected
from workflows.model.analysis import SOURCES, Analysis
from workflows.model.promql import VARIABLES
from workflows.model.target import SLOTS, Slot, Target

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[4]
RATES: dict[str, int] = {"stable": 90, "canary": 10}
FAILING = 0.1
"""Of the new version."""


class View(NamedTuple):
    """How a data plane writes about a slot: the labels of what is good and bad, and of durations."""

    requests: str
    good: str
    bad: str
    durations: str
    shared: dict[str, str]
    """By slot."""
    unit: float = 1.0


def _workloads(pattern: str) -> dict[str, str]:
    return {"stable": pattern.format("trip"), "canary": pattern.format("trip-canary")}


ENVOY = ("envoy_cluster_upstream_rq_xx", 'envoy_response_code_class="2"', 'envoy_response_code_class="5"')
VIEWS = {
    "app": View(
        "http_requests_total", 'code="200"', 'code="500"', "http_request_duration_seconds", _workloads('a="{}"')
    ),
    "envoy": View(
        *ENVOY,
        "envoy_cluster_upstream_rq_time",
        {slot: f'envoy_cluster_name="trip.{slot}"' for slot in RATES},
        unit=1000,
    ),
    "contour": View(*ENVOY, "envoy_cluster_upstream_rq_time", _workloads('envoy_cluster_name="prod_{}_80"'), unit=1000),
    "istio": View(
        "istio_requests_total",
        'response_code="200"',
        'response_code="503"',
        "istio_request_duration_milliseconds",
        _workloads('reporter="source",destination_workload="{}",destination_workload_namespace="prod"'),
        unit=1000,
    ),
    "linkerd": View(
        "response_total",
        'classification="success"',
        'classification="failure"',
        "response_latency_ms",
        _workloads('direction="inbound",deployment="{}"'),
        unit=1000,
    ),
    "nginx": View(
        "nginx_ingress_controller_requests",
        'status="200"',
        'status="502"',
        "nginx_ingress_controller_request_duration_seconds",
        {
            slot: f'namespace="prod",ingress="trip",service="trip",canary="{name}"'
            for slot, name in {"stable": "", "canary": "prod-trip-canary-80"}.items()
        },
    ),
    "traefik": View(
        "traefik_service_requests_total",
        'code="200"',
        'code="500"',
        "traefik_service_request_duration_seconds",
        _workloads('service="prod-{}-80@kubernetescrd"'),
    ),
}


class Exporter:
    """One target that writes what a source's data plane does, of the slots that it knows."""

    def __init__(self, source: str, slots: tuple[str, ...], pod: str) -> None:
        self.view = VIEWS[source]
        self.slots = slots
        self.pod = pod
        self.labels: dict[str, str] = {"job": source}
        self.address = ""
        self.began = time.monotonic()

    async def answer(self, request: web.Request) -> web.Response:
        seconds = int(time.monotonic() - self.began) + 100
        lines = [line for slot in self.slots for line in self._lines(slot, seconds * RATES[slot])]
        # Another release's series, which are nobody's business here.
        if len(self.slots) > 1:
            other = self.view.shared["canary"].replace("trip", "trips")
            lines.append(f"{self.view.requests}{{{self.view.bad},{other}}} {seconds * 1000}")
        return web.Response(text="\n".join(lines) + "\n")

    def _lines(self, slot: str, requests: int) -> list[str]:
        view, bad = self.view, int(requests * FAILING) if slot == "canary" else 0
        edges = [(str(0.25 * view.unit), requests // 2), (str(1.0 * view.unit), requests), ("+Inf", requests)]
        return [
            f"{view.requests}{{{view.good},{view.shared[slot]}}} {requests - bad}",
            f"{view.requests}{{{view.bad},{view.shared[slot]}}} {bad}",
            *(f'{view.durations}_bucket{{le="{le}",{view.shared[slot]}}} {count}' for le, count in edges),
            f"queue_length{{{view.shared[slot]}}} {len(slot)}",
        ]


def _exporters(source: str) -> list[Exporter]:
    if source in ("app", "linkerd"):
        prefix = "trip" if source == "app" else "meshed"
        names = {"stable": stable(prefix, 1)[0], "canary": canary(prefix, 1)[0]}
        return [Exporter(source, (slot,), pod) for slot, pod in names.items()]
    return [Exporter(source, ("stable", "canary"), f"{source}-proxy")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    exporters = [exporter for source in VIEWS for exporter in _exporters(source)]
    async with a_prometheus(tmp_path_factory.mktemp("prometheus"), *exporters) as server:
        await server.scraped("min(count_over_time(up[20s])) >= 12")
        yield server


def _target(source: str) -> Target:
    return a_deployment("trip", **({"kind": "envoy", "route": "trip"} if source == "envoy" else {}))


async def _read(server: Prometheus, target: Target, *given: dict[str, Any]) -> Batch:
    """The last five seconds that are over."""
    analysis = Analysis.model_validate(an_analysis(*given))
    until = time.time() // 1 - 2
    provider = Recorded(settings(server.url))
    query = Query(target, analysis.metrics, ("canary",), ("stable",), version="v2", clock=FakeClock(until), max_age=1)
    try:
        return await provider.read_between(query, since=until - 3, until=until)
    finally:
        await provider.close()


def _grown(batch: Batch, slot: Slot, metric: str) -> dict[str, float]:
    assert not batch.missing, batch.missing
    found = read(batch, {}, since=None).increases
    channels: dict[str, float] = {}
    for unit in batch.units:
        if unit.slot == slot:
            for channel, count in found[unit.id].counters.get(metric, {}).items():
                channels[channel] = channels.get(channel, 0.0) + count
    return channels


def metrics_of(source: str) -> list[dict[str, Any]]:
    return [
        {"name": "errors", "kind": "ratio", "source": source, "compare": {}},
        {"name": "latency", "kind": "histogram", "source": source, "compare": {}},
    ]


@pytest.mark.parametrize("source", sorted(VIEWS))
async def test_source_tells_the_versions_apart(server: Prometheus, source: str) -> None:
    batch = await _read(server, _target(source), *metrics_of(source))
    for slot in SLOTS:
        errors, latency = _grown(batch, slot, "errors"), _grown(batch, slot, "latency")
        assert errors[TOTAL] == pytest.approx(3 * RATES[slot], abs=1.5 * RATES[slot])
        assert errors[BAD] == pytest.approx(errors[TOTAL] * FAILING if slot == "canary" else 0, abs=2)
        assert latency[INFINITY] == errors[TOTAL]
        assert latency["0.25"] == pytest.approx(errors[TOTAL] / 2, abs=1)
        assert latency["1.0"] == errors[TOTAL]


async def test_every_source_of_the_documents_that_a_store_has_is_here() -> None:
    assert set(VIEWS) == set(QUERY_SETS) == set(SOURCES) - {"web"}


async def test_the_how_to_names_every_source_with_its_series_and_every_variable() -> None:
    text = (ROOT / "docs/how-to/prometheus.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| `")}
    for name, queries in QUERY_SETS.items():
        assert f"`{queries.naming.total}`" in rows[name], name
        assert f"`{queries.naming.durations}_bucket`" in rows[name], name
    assert [rows[f"{{{{{name}}}}}"].split("|")[2].strip() for name in VARIABLES] == list(VARIABLES.values())


async def test_own_queries_count_as_sources_do(server: Prometheus) -> None:
    ratio = {
        "name": "errors",
        "kind": "ratio",
        "totalQuery": "sum by (pod) (http_requests_total{ {{selector}} })",
        "badQuery": 'sum by (pod) (http_requests_total{pod=~"{{pods}}",namespace="{{namespace}}",code=~"5.."})',
        "compare": {},
    }
    histogram = {
        "name": "latency",
        "kind": "histogram",
        "query": 'http_request_duration_seconds_bucket{ {{selector}}, job="app" }',
        "compare": {},
    }
    batch = await _read(server, _target("app"), ratio, histogram)
    errors, latency = _grown(batch, "canary", "errors"), _grown(batch, "canary", "latency")
    assert errors[TOTAL] == pytest.approx(3 * RATES["canary"], abs=1.5 * RATES["canary"])
    assert errors[BAD] == pytest.approx(errors[TOTAL] * FAILING, abs=2)
    assert latency[INFINITY] == errors[TOTAL]
    assert _grown(batch, "stable", "errors")[BAD] == 0


async def test_sum_that_a_pod_has_left_counts_nothing(server: Prometheus) -> None:
    falling = {
        "name": "errors",
        "kind": "ratio",
        "totalQuery": "1e6 - sum(http_requests_total{ {{selector}} })",
        "badQuery": "0 * sum(http_requests_total{ {{selector}} })",
        "compare": {},
    }
    assert _grown(await _read(server, _target("app"), falling), "canary", "errors") == {TOTAL: 0, BAD: 0}


async def test_numbers_of_a_version_and_of_none(server: Prometheus) -> None:
    rule = {"rule": {"rollback": 100, "interval": "5s"}}
    batch = await _read(
        server,
        _target("app"),
        {"name": "own", "kind": "gauge", "query": "max(queue_length{ {{selector}} })", **rule},
        {"name": "all", "kind": "gauge", "query": 'max(queue_length{job="app"})', **rule},
        {
            "name": "rate",
            "kind": "gauge",
            "query": "sum(rate(http_requests_total{ {{selector}} }[{{window}}]))",
            **rule,
        },
    )
    numbers = {(unit.slot, name): found for unit in batch.units for name, found in unit.gauges.items()}
    assert numbers["canary", "own"] == (len("canary"),)
    assert numbers["stable", "own"] == (len("stable"),)
    assert numbers["canary", "all"] == numbers["stable", "all"] == (6.0,)
    assert numbers["canary", "rate"][0] == pytest.approx(RATES["canary"], rel=0.7)


async def test_query_that_cannot_be_read_is_refused_in_the_servers_words(server: Prometheus) -> None:
    wrong = {"name": "own", "kind": "gauge", "query": "max(queue_length{", "rule": {"rollback": 1}}
    with pytest.raises(Rejected, match="refuses a query: .*parse error"):
        await _read(server, _target("app"), wrong)
