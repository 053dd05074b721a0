"""Direct scraping: no metric store, just the endpoints of Envoy and of the instances themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from activities.endpoints import Endpoints
from activities.metrics.protocol import Query
from activities.metrics.scraping import Scraper
from activities.metrics.sources.app import AppSource
from activities.metrics.sources.envoy import EnvoySource
from activities.metrics.sources.protocol import Answers, Source
from activities.metrics.sources.web import WebEndpoint, WebSource
from activities.settings import SettingsModel
from workflows.analysis.arms import source_of
from workflows.analysis.batches import Batch, Missing
from workflows.model.analysis import Metric
from workflows.model.shapes import Name
from workflows.model.target import Target


class OpenMetricsSettings(SettingsModel):
    """Settings of a provider that scrapes endpoints directly."""

    kind: Literal["openmetrics"] = "openmetrics"
    envoys: tuple[Annotated[str, Field(pattern=r"^https?://[^/@]+/?$")], ...] = ()
    """Admin endpoints of the Envoys that carry the routes, such as http://127.0.0.1:9901."""
    path: Annotated[str, Field(pattern=r"^/\S*$")] = "/metrics"
    """Where instances show their metrics."""
    timeout: Annotated[float, Field(gt=0, le=5)] = 2
    """Seconds that an endpoint may take to answer; slower counts as no answer."""
    parallel: Annotated[int, Field(ge=1, le=1000)] = 32
    """Requests under way at the same time."""
    web: dict[Name, WebEndpoint] = {}
    """Endpoints of other systems by name, for gauges with `web`; documents can ask no other."""


class OpenMetricsProvider:
    """Scrapes each address once per tick, however many observations need it."""

    def __init__(
        self, settings: OpenMetricsSettings, endpoints: Endpoints, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.scraper = Scraper(timeout=settings.timeout, parallel=settings.parallel, now=now)
        self._web = WebSource(settings.web, parallel=settings.parallel, now=now)
        sources: tuple[Source, ...] = (
            self._web,
            EnvoySource(settings.envoys, self.scraper),
            AppSource(endpoints, self.scraper, path=settings.path),
        )
        self._sources = {source.name: source for source in sources}

    async def read(self, query: Query, *, fresh: bool = False) -> Batch:
        max_age = 0.0 if fresh else query.max_age
        names = dict.fromkeys(source_of(metric) for metric in query.metrics)
        answers = await asyncio.gather(*(self._ask(name, query, max_age=max_age) for name in names))
        return Batch(
            query.clock.now(),
            tuple(unit for answer in answers for unit in answer.units),
            tuple(gap for answer in answers for gap in answer.missing),
        )

    def objection(self, target: Target, metric: Metric) -> str:
        if getattr(metric, "query", None) or getattr(metric, "bad_query", None):
            return "queries need a metric store; name a provider of kind prometheus in analysis.provider"
        name = source_of(metric)
        if name not in self._sources:
            return f"this metrics provider has no source {name}; it has {', '.join(sorted(self._sources))}"
        return self._sources[name].objection(target, metric)

    async def close(self) -> None:
        await asyncio.gather(self.scraper.close(), self._web.close())

    async def _ask(self, name: str, query: Query, *, max_age: float) -> Answers:
        metrics = [metric for metric in query.metrics if source_of(metric) == name]
        for problem in filter(None, (self.objection(query.target, metric) for metric in metrics)):
            return Answers([], [Missing(name, slot, problem) for slot in query.slots])
        return await self._sources[name].read(query, metrics, max_age=max_age)
