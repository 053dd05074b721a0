"""The applications' own view: the /metrics page of every ready instance of each slot.

Without selectors it expects what most client libraries write: `http_requests_total` with the status in one of the usual
labels, and `http_request_duration_seconds`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from activities.endpoints import Endpoints
from activities.metrics.exposition import Exposition
from activities.metrics.protocol import Query
from activities.metrics.scraping import Scraper
from activities.metrics.sources.protocol import Answers
from activities.metrics.sources.series import Naming, counters, gauges
from activities.workloads.protocol import Endpoint
from workflows.analysis.batches import Missing, Unit
from workflows.errors import HeadgateError, TemporaryError
from workflows.model.analysis import Metric
from workflows.model.series import Matcher
from workflows.model.target import Slot, Target

_STATUS = ("code", "status", "status_code", "http_status", "http_status_code", "http_response_status_code")
NAMING = Naming(
    total="http_requests_total",
    failed=tuple(Matcher(label, "=~", "5.+") for label in _STATUS),
    durations="http_request_duration_seconds",
)
"""What client libraries call requests and durations."""


class AppSource:
    """Scrapes the instances directly."""

    name = "app"

    def __init__(self, endpoints: Endpoints, scraper: Scraper, *, path: str) -> None:
        self._endpoints = endpoints
        self._scraper = scraper
        self._path = path

    def objection(self, target: Target, metric: Metric) -> str:
        del target, metric
        return ""

    async def read(self, query: Query, metrics: Sequence[Metric], *, max_age: float) -> Answers:
        slots = await asyncio.gather(*(self._slot(query, slot, metrics, max_age=max_age) for slot in query.slots))
        return Answers([unit for slot in slots for unit in slot.units], [gap for slot in slots for gap in slot.missing])

    async def _slot(self, query: Query, slot: Slot, metrics: Sequence[Metric], *, max_age: float) -> Answers:
        try:
            endpoints = await self._endpoints.endpoints(query.target, slot)
        except HeadgateError as error:
            return Answers([], [Missing(self.name, slot, f"the instances of {slot} are unknown: {error}")])
        ours = [endpoint for endpoint in endpoints if _is_meant(endpoint, slot, query)]
        found = await asyncio.gather(*(self._instance(slot, e, metrics, max_age=max_age) for e in ours))
        return Answers(
            [unit for unit in found if isinstance(unit, Unit)], [gap for gap in found if isinstance(gap, Missing)]
        )

    async def _instance(
        self, slot: Slot, endpoint: Endpoint, metrics: Sequence[Metric], *, max_age: float
    ) -> Unit | Missing:
        try:
            page = await self._scraper.get(f"http://{endpoint.address}{self._path}", max_age=max_age)
            return _unit(page, slot, endpoint, metrics)
        except (TemporaryError, ValueError) as error:
            return Missing(self.name, slot, str(error))


def _is_meant(endpoint: Endpoint, slot: Slot, query: Query) -> bool:
    """While a slot is replaced it has instances of both versions; those of the other one are not this arm's."""
    if not endpoint.version or not query.version:
        return True
    return (endpoint.version == query.version) == (slot in query.new)


def _unit(page: Exposition, slot: Slot, endpoint: Endpoint, metrics: Sequence[Metric]) -> Unit:
    return Unit(
        id=f"app:{slot}@{endpoint.token or endpoint.address}",
        slot=slot,
        source=AppSource.name,
        counters={m.name: found for m in metrics if (found := counters(m, NAMING, page.samples)) is not None},
        gauges={m.name: values for m in metrics if (values := gauges(m, page.samples)) is not None},
        started=page.value("process_start_time_seconds"),
        is_complete=True,
    )
