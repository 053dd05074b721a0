"""The traffic before a release, from real pages and from a store that remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from activities.metrics.activities import Metrics
from activities.metrics.clock import Clock
from activities.metrics.measuring import HOUR, measure
from activities.metrics.null import NullMetrics
from activities.metrics.openmetrics import OpenMetricsProvider, OpenMetricsSettings
from activities.metrics.protocol import Query
from activities.registry import Registry
from tests.activities.metrics.observing import UNFOLLOWED, a_target
from tests.activities.metrics.pages import FakeClock, Instances, Page, an_endpoint, app_page, served
from workflows.analysis.batches import Batch, Unit
from workflows.contracts.metrics import Measured, MeasureRequest
from workflows.errors import Rejected, Unavailable
from workflows.model.analysis import Analysis

ERRORS = {"name": "errors", "kind": "ratio", "source": "app", "compare": {}}
LATENCY = {"name": "latency", "kind": "histogram", "source": "app", "compare": {}}
QUEUE = {"name": "queue", "kind": "gauge", "series": "q", "rule": {"rollback": 1}}


def an_analysis(*metrics: dict[str, Any]) -> Analysis:
    return Analysis.model_validate({"metrics": metrics or [ERRORS]})


@dataclass
class Site:
    """One instance of the running version, and a provider that reads it; while it is slept requests arrive."""

    page: Page
    clock: FakeClock = field(default_factory=FakeClock)
    grown: tuple[float, float] = (495, 5)

    def __post_init__(self) -> None:
        self.page.text = app_page(1000, 10)
        self.instances = Instances({"stable": [an_endpoint(self.page.address)]})
        self.provider = OpenMetricsProvider(OpenMetricsSettings(), self.instances, now=self.clock.now)

    def now(self) -> float:
        return self.clock.now()

    async def sleep(self, seconds: float) -> None:
        self.clock.time += seconds
        self.page.text = app_page(1000 + self.grown[0], 10 + self.grown[1])

    async def measured(self, *metrics: dict[str, Any]) -> Measured:
        return await measure(self.provider, an_analysis(*metrics), a_target(), self)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with served(Page()) as page:
        site = Site(page)
        yield site
        await site.provider.close()


async def test_what_only_knows_now_is_asked_twice(site: Site) -> None:
    found = await site.measured()
    assert (found.requests_per_second, found.failing) == (50, 0.01)
    assert found.message == "measured over 10s just now"
    assert site.page.asked == 2


async def test_a_metric_of_failures_is_asked_before_others_and_latency_where_there_is_none(site: Site) -> None:
    assert (await site.measured(LATENCY, ERRORS)).failing == 0.01
    site.page.text = app_page(1000, 10)
    found = await site.measured(LATENCY)
    assert (found.requests_per_second, found.failing) == (50, None)


async def test_where_none_failed_less_than_one_did(site: Site) -> None:
    site.grown = (500, 0)
    assert (await site.measured()).failing == 1 / 500


async def test_silence_is_traffic_of_nothing(site: Site) -> None:
    site.grown = (0, 0)
    found = await site.measured()
    assert (found.requests_per_second, found.failing) == (0, None)


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [([QUEUE], "no metric of its analysis counts requests"), ([ERRORS], "errors: ")],
)
async def test_what_cannot_be_measured_says_why_at_once(
    site: Site, metrics: list[dict[str, Any]], sentence: str
) -> None:
    site.page.status = 500
    found = await site.measured(*metrics)
    assert found.requests_per_second is None
    assert found.message.startswith(sentence)
    assert site.clock.time == FakeClock().time, "nobody slept"


@dataclass
class Remembering(NullMetrics):
    """A store with a service of 20 requests/s, one of a hundred failing, of which it lost the oldest half hour."""

    asked: list[tuple[float, float]] = field(default_factory=list)
    is_down: bool = False

    @property
    def resolution(self) -> float:
        return 15.0

    async def settled(self, clock: Clock) -> float:
        return clock.now() - 20

    async def read_between(self, query: Query, *, since: float, until: float) -> Batch:
        if self.is_down:
            raise Unavailable("Prometheus answers 503")
        self.asked.append((since, until))
        counters = {"errors": {"total": {"x": until * 20}, "bad": {"x": until * 0.2}}}
        before = {"errors": {"total": {"x": since * 20}, "bad": {"x": since * 0.2}}}
        unit = Unit("u", "stable", "app", counters, {}, is_complete=True, before=before)
        is_kept = until > query.clock.now() - HOUR / 2
        return Batch(until, (unit,) if is_kept else (), (), since=since)


async def test_store_is_asked_about_minutes_of_the_last_hour() -> None:
    store, clock = Remembering(), FakeClock()
    found = await measure(store, an_analysis(), a_target(), clock)
    assert found.requests_per_second == pytest.approx(20)
    assert found.failing == pytest.approx(0.01)
    assert found.message == "measured over the last hour"
    assert {until - since for since, until in store.asked} == {60.0}
    newest, oldest = max(until for _, until in store.asked), min(since for since, _ in store.asked)
    assert newest - oldest == pytest.approx(HOUR)


async def test_store_that_is_down_is_no_error() -> None:
    found = await measure(Remembering(is_down=True), an_analysis(), a_target(), FakeClock())
    assert found == Measured(message="Prometheus answers 503")


async def test_activity_reads_the_analysis_of_the_document() -> None:
    providers = Registry("metrics", {"main": Remembering})
    activities = Metrics(providers, lambda _: pytest.fail("asked"), UNFOLLOWED, clock=FakeClock)  # type: ignore[arg-type]
    request = MeasureRequest(target=a_target(), analysis={"metrics": [ERRORS]})
    assert (await activities.measure(request)).requests_per_second == pytest.approx(20)
    with pytest.raises(Rejected, match="cannot read the analysis of trip"):
        await activities.measure(request.model_copy(update={"analysis": {"metrics": 5}}))
