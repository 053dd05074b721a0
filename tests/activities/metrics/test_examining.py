"""What an examination of metrics says of real pages, and of a Prometheus that has scraped real services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.metrics import measuring
from activities.metrics.clock import SystemClock
from activities.metrics.examining import examine
from activities.metrics.openmetrics import OpenMetricsProvider, OpenMetricsSettings
from activities.metrics.prometheus.provider import PrometheusProvider
from tests.activities.metrics.observing import a_target, an_analysis
from tests.activities.metrics.pages import FakeClock, Instances, Page, an_endpoint, app_page, served
from tests.activities.metrics.prometheus.recording import a_deployment, settings
from tests.prometheus import Service, a_prometheus, canary, stable
from workflows.contracts.metrics import Examined, ExamineRequest
from workflows.model.analysis import Analysis

ERRORS: dict[str, Any] = {"name": "errors", "kind": "ratio", "source": "app", "compare": {}}
LATENCY: dict[str, Any] = {"name": "latency", "kind": "histogram", "source": "app", "compare": {}}
QUEUE: dict[str, Any] = {"name": "queue", "kind": "gauge", "series": "queue_depth", "rule": {"rollback": 200}}
GONE: dict[str, Any] = {
    "name": "gone",
    "kind": "ratio",
    "bad": "nothing_total",
    "total": "nothing_total",
    "compare": {},
}


class Site:
    """One instance of the running version; while it is slept requests arrive."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clock = FakeClock()
        self.grown: tuple[float, float, float] = (495, 5, 480)
        self.page.text = app_page(1000, 10, fast=900)
        self.instances = Instances({"stable": [an_endpoint(page.address)]})
        self.provider = OpenMetricsProvider(OpenMetricsSettings(), self.instances, now=self.clock.now)

    def now(self) -> float:
        return self.clock.now()

    async def sleep(self, seconds: float) -> None:
        self.clock.time += seconds
        good, bad, fast = self.grown
        self.page.text = app_page(1000 + good, 10 + bad, fast=900 + fast)

    async def examined(self, *metrics: dict[str, Any]) -> Examined:
        analysis = an_analysis(*metrics)
        request = ExamineRequest(target=a_target(), analysis=analysis)
        return await examine(self.provider, Analysis.model_validate(analysis), request, self)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with served(Page()) as page:
        site = Site(page)
        yield site
        await site.provider.close()


async def test_series_requests_and_edges_are_counted_for_each_version(site: Site) -> None:
    errors, latency, queue = (await site.examined(ERRORS, LATENCY, QUEUE)).metrics
    running, new = errors.versions
    assert (running.slot, running.instances, running.series) == ("stable", 1, 2)
    assert (running.requests_per_second, running.failing) == (50, 0.01)
    assert (new.slot, new.instances, new.series, new.requests_per_second) == ("canary", 0, 0, None)
    assert latency.versions[0].usable_buckets == 2
    assert queue.versions[0].value == 99
    assert [metric.problems for metric in (errors, latency, queue)] == [(), (), ()]


@pytest.mark.parametrize(
    ("metric", "grown", "message", "remedy"),
    [
        (GONE, (495, 5, 480), "no series was found", "name another source"),
        ({**QUEUE, "series": "nothing"}, (495, 5, 480), "it has no value", "name another source"),
        (ERRORS, (0, 0, 0), "no request was counted in 10s", "without requests no stage passes"),
        (LATENCY, (495, 5, 500), "0 of 3 edges tell fast from slow, and 2 are needed", "edges at the usual duration"),
        (
            {**LATENCY, "compare": None, "slo": {"max": "5s"}},
            (495, 5, 480),
            "its limit of 5s lies beyond the highest edge, 2.5s",
            "an edge at the limit",
        ),
    ],
    ids=["no series", "no value", "no requests", "no edges", "a limit beyond the edges"],
)
async def test_each_problem_has_a_sentence_and_a_remedy(
    site: Site, metric: dict[str, Any], grown: tuple[float, float, float], message: str, remedy: str
) -> None:
    site.grown = grown
    ((problem,),) = [found.problems for found in (await site.examined(metric)).metrics]
    assert message in problem.message
    assert remedy in problem.remedy


async def test_page_that_does_not_answer_is_a_problem_of_its_metrics(site: Site) -> None:
    site.page.status = 500
    (errors,) = (await site.examined(ERRORS)).metrics
    assert "answers 500" in errors.problems[0].message


async def test_query_of_a_provider_that_scrapes_is_a_problem(site: Site) -> None:
    query = {"name": "q", "kind": "gauge", "query": "max(q)", "rule": {"rollback": 1}}
    (found,) = (await site.examined(query)).metrics
    assert "name a provider of kind prometheus in analysis.provider" in found.problems[0].message


async def _ask(url: str, *metrics: dict[str, Any]) -> Examined:
    provider = PrometheusProvider(settings(url))
    analysis = an_analysis(*metrics)
    request = ExamineRequest(target=a_deployment(), analysis=analysis)
    try:
        return await examine(provider, Analysis.model_validate(analysis), request, SystemClock())
    finally:
        await provider.close()


@pytest.mark.slow
async def test_prometheus_says_what_it_has_scraped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = [*(Service(pod, rate=50, bad=0.02) for pod in stable(count=2)), Service(canary()[0], rate=5)]
    async with a_prometheus(tmp_path, *services) as server:
        await server.scraped("min(count_over_time(up[1m])) > 3")
        (errors,) = (await _ask(server.url, ERRORS)).metrics
        assert "scraped for less than 1m" in errors.problems[0].message
        monkeypatch.setattr(measuring, "STRETCH", 3.0)
        await server.scraped("min(count_over_time(up[1m])) > 10")
        errors, gone = (await _ask(server.url, ERRORS, GONE)).metrics
        running, new = errors.versions
        assert (running.instances, running.series, new.instances) == (2, 4, 1)
        assert running.requests_per_second
        assert new.requests_per_second
        assert running.requests_per_second > 5 * new.requests_per_second > 0
        assert errors.problems == ()
        assert "no series was found" in gone.problems[0].message
        await server.stop()
        (problem,) = (await _ask(server.url, ERRORS)).problems
        assert "cannot be asked: ConnectionError" in problem.message
        assert problem.remedy == "correct metrics.main in the settings of the workers, or what it names"
