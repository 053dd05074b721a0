"""What still reaches a version whose users were led away, from real pages and from a store that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.metrics.clock import Clock
from activities.metrics.null import NullMetrics
from activities.metrics.openmetrics import OpenMetricsProvider, OpenMetricsSettings
from activities.metrics.protocol import MetricsProvider, Query
from tests.activities.metrics.observing import a_target, metrics
from tests.activities.metrics.pages import FakeClock, Instances, Page, an_endpoint, app_page, served
from workflows.analysis.batches import Batch, Unit
from workflows.contracts.metrics import FollowRequest
from workflows.errors import Unavailable
from workflows.model.status import LateRequests

ERRORS = {"name": "errors", "kind": "ratio", "source": "app", "compare": {}}
QUEUE = {"name": "queue", "kind": "gauge", "series": "q", "rule": {"rollback": 1}}
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@dataclass
class Watch(FakeClock):
    """A clock at which something happens each second, and that ends the watch."""

    environment: ActivityEnvironment = field(default_factory=ActivityEnvironment)
    happens: Callable[[int], None] = lambda _: None
    seconds: int = 5
    start: float = NOON.timestamp()

    def __post_init__(self) -> None:
        super().__init__(self.start)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        passed = round(self.time - self.start)
        if passed > self.seconds:
            self.environment.cancel()
            await asyncio.Future()
        self.happens(passed)

    async def follow(self, provider: MetricsProvider, *asked: dict[str, Any]) -> LateRequests:
        request = FollowRequest(target=a_target(), slot="canary", analysis={"metrics": asked or [ERRORS]})
        found: LateRequests = await self.environment.run(metrics(provider, self).follow, request)
        return found


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with served(Page(text=app_page(1000, 10))) as page:
        yield page


@pytest.fixture
async def provider(page: Page) -> AsyncIterator[OpenMetricsProvider]:
    instances = Instances({"canary": [an_endpoint(page.address)]})
    provider = OpenMetricsProvider(OpenMetricsSettings(), instances, now=lambda: 0.0)
    yield provider
    await provider.close()


async def test_the_last_request_has_a_time(page: Page, provider: OpenMetricsProvider) -> None:
    watch = Watch()

    def happens(second: int) -> None:
        page.text = app_page(1000 + 3 * min(second, 2), 10)

    watch.happens = happens
    found = await watch.follow(provider)
    assert (found.count, found.last_at, found.until) == (6, NOON.replace(second=2), NOON.replace(second=5))
    assert found.message == "6 requests came, the last at 12:00:02 UTC, 2.0 s after, as is known until 12:00:05 UTC"


async def test_no_request_is_said_too(provider: OpenMetricsProvider) -> None:
    found = await Watch().follow(provider)
    assert (found.count, found.last_at) == (0, None)
    assert found.message == "no request came, as is known until 12:00:05 UTC"


async def test_what_nobody_answered_is_not_known(page: Page, provider: OpenMetricsProvider) -> None:
    watch = Watch()

    def happens(second: int) -> None:
        page.status = 200 if second < 3 else 500

    watch.happens = happens
    assert (await watch.follow(provider)).until == NOON.replace(second=2)
    found = await Watch().follow(provider)
    assert (found.count, found.until) == (0, None)
    assert found.message.startswith("not known: ")


async def test_it_ends_by_itself_once_nobody_is_left_to_ask(page: Page) -> None:
    instances = Instances({"canary": [an_endpoint(page.address)]})
    provider = OpenMetricsProvider(OpenMetricsSettings(), instances, now=lambda: 0.0)
    watch = Watch(seconds=60)

    def happens(second: int) -> None:
        if second == 3:
            instances.slots.clear()

    watch.happens = happens
    assert (await watch.follow(provider)).until == NOON.replace(second=2)
    assert watch.time == NOON.timestamp() + 3
    await provider.close()


async def test_numbers_count_no_requests(provider: OpenMetricsProvider) -> None:
    found = await Watch().follow(provider, QUEUE)
    assert found.message == "not known: no metric of its analysis counts requests"


@dataclass
class Remembering(NullMetrics):
    """A store that settles 4 s late, of a version that got 2 requests each second until the tenth; down at first."""

    asked: list[tuple[float, float]] = field(default_factory=list)

    @property
    def resolution(self) -> float:
        return 3.0

    async def settled(self, clock: Clock) -> float:
        if clock.now() < NOON.timestamp() + 2:
            raise Unavailable("Prometheus answers 503")
        return clock.now() - 4

    async def read_between(self, query: Query, *, since: float, until: float) -> Batch:
        self.asked.append((since - NOON.timestamp(), until - NOON.timestamp()))
        end, before = ({"errors": {"total": {"x": 2 * min(at, NOON.timestamp() + 10)}}} for at in (until, since))
        unit = Unit("u", "canary", "app", end, {}, is_complete=True, before=before)
        return Batch(until, (unit,), (), since=since)


async def test_a_store_is_asked_once_about_each_moment() -> None:
    store = Remembering()
    found = await Watch(seconds=20).follow(store)
    assert store.asked == [(0, 3), (3, 6), (6, 9), (9, 12), (12, 15)]
    assert (found.count, found.last_at, found.until) == (20, NOON.replace(second=12), NOON.replace(second=15))
