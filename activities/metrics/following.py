"""What still reaches a version whose users were led away, by what its own metrics count."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from math import floor

from activities import beats
from activities.metrics.clock import Clock
from activities.metrics.measuring import UNCOUNTED, counting
from activities.metrics.protocol import MetricsProvider, Query, Store
from workflows.analysis.arms import read
from workflows.analysis.batches import Batch
from workflows.analysis.counters import Raw, remembered
from workflows.contracts.metrics import FollowRequest
from workflows.errors import ProviderError
from workflows.model.analysis import Analysis, Metric
from workflows.model.status import LateRequests

EVERY = 1.0
"""Seconds between two looks: how exactly the last request's time is known, where nothing is scraped less often."""


class Following:
    """Looks until it is cancelled, or until those who were there to ask are gone."""

    def __init__(self, request: FollowRequest, analysis: Analysis, provider: MetricsProvider, clock: Clock) -> None:
        self._slots = (request.slot,)
        self._metric = counting(analysis)
        metrics = (self._metric,) if self._metric else ()
        self._query = Query(request.target, metrics, self._slots, (), "", clock, max_age=0.0)
        self._provider = provider
        self._clock = clock
        self._raw: Raw = {}
        self._began = self._read_until = clock.now()
        self._problem = "nobody looked"
        self._count = 0.0
        self._last = self._until = 0.0

    async def run(self) -> LateRequests:
        """The answer; a provider that gives none is looked at again."""
        if (metric := self._metric) is None:
            return LateRequests(message=f"not known: {UNCOUNTED}")
        with suppress(asyncio.CancelledError):
            while await self._look(metric):
                beats.send(self._count)
                await self._clock.sleep(EVERY)
        return self._answer()

    async def _look(self, metric: Metric) -> bool:
        """Whether to look again."""
        try:
            batch = await self._read()
        except ProviderError as error:
            self._problem = str(error)
            return True
        if batch is None:
            return True
        readings = read(batch, self._raw, since=None)
        self._raw = remembered(self._raw, batch.units, at=batch.at)
        if counted := readings.arm(metric, self._slots).total:
            self._count, self._last = self._count + counted, batch.at
        self._problem = readings.problem(metric, self._slots)
        if not self._problem:
            self._until = batch.at
        return bool(batch.units or not self._until)

    async def _read(self) -> Batch | None:
        """What was counted since the last look; None where the store knows nothing new."""
        if not isinstance(self._provider, Store):
            return await self._provider.read(self._query, fresh=True)
        since, until = floor(self._read_until), floor(await self._provider.settled(self._clock))
        if until - since < self._provider.resolution:
            return None
        batch = await self._provider.read_between(self._query, since=since, until=until)
        self._read_until = until
        return batch

    def _answer(self) -> LateRequests:
        if not self._until:
            return LateRequests(message=f"not known: {self._problem}")
        known = f"as is known until {_time_of_day(self._until)}"
        found = LateRequests(count=round(self._count), until=_moment(self._until))
        if not self._count:
            return found.model_copy(update={"message": f"no request came, {known}"})
        after = max(self._last - self._began, 0.0)
        message = f"{found.count:,} requests came, the last at {_time_of_day(self._last)}, {after:.1f} s after, {known}"
        return found.model_copy(update={"last_at": _moment(self._last), "message": message})


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _time_of_day(at: float) -> str:
    return f"{_moment(at):%H:%M:%S} UTC"
