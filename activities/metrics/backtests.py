"""What a metric store remembers of two sets of series, tick by tick, and an analysis that is played to it."""

from __future__ import annotations

import asyncio
from math import ceil

from activities import beats
from activities.metrics.clock import Clock
from activities.metrics.looks import on_ticks_of
from activities.metrics.protocol import MetricsProvider, Query, Store
from workflows.analysis.batches import Batch
from workflows.analysis.playback import Staged, backtest
from workflows.contracts.metrics import BacktestRequest
from workflows.errors import Rejected
from workflows.model.analysis import Analysis
from workflows.model.backtest import Backtested
from workflows.model.series import Matcher, parse_conditions
from workflows.model.target import Target

MOST = 5000
"""Ticks; each is several questions to the store."""
_AT_ONCE = 16
_NOWHERE = Target(component="backtest", cluster="", namespace="", workload={"kind": "none"})


class Backtest:
    """Runs once."""

    def __init__(self, request: BacktestRequest, analysis: Analysis, provider: MetricsProvider, clock: Clock) -> None:
        if not isinstance(provider, Store):
            raise _rejected(f"provider {analysis.provider} remembers nothing; name one of kind prometheus")
        self._store = provider
        self._request = request
        self._analysis = on_ticks_of(provider, analysis)
        self._tick = self._analysis.tick.total_seconds()
        self._query = Query(
            target=_NOWHERE,
            metrics=analysis.metrics,
            new=("canary",),
            old=("stable",),
            version="",
            clock=clock,
            max_age=0,
            arms={"canary": _conditions(request.canary), "stable": _conditions(request.stable)},
        )

    async def run(self) -> Backtested:
        """Reads and plays. Errors: ProviderError."""
        batches = await self._read(await self._ends())
        for slot in self._query.slots:
            if not any(unit.slot == slot for batch in batches for unit in batch.units):
                raise _rejected(next(gap.message for gap in batches[-1].missing if gap.slot == slot))
        readings = [Staged(batch) for batch in batches]
        try:
            return await asyncio.to_thread(backtest, self._analysis, readings, self._request.window_seconds)
        except ValueError as error:
            raise _rejected(str(error)) from error

    async def _ends(self) -> list[float]:
        """The moments at which ticks end."""
        until = min(self._request.until, await self._store.settled(self._query.clock))
        first = ceil(self._request.since / self._tick)
        count = int(until // self._tick) - first
        if count < 1:
            raise _rejected(f"there is no tick of {self._tick:g} s in this time that is over")
        if count > MOST:
            raise _rejected(f"these are {count:,} ticks of {self._tick:g} s; ask for {MOST:,} at most, a shorter time")
        return [(first + i + 1) * self._tick for i in range(count)]

    async def _read(self, ends: list[float]) -> list[Batch]:
        found: list[Batch] = []
        for start in range(0, len(ends), _AT_ONCE):
            beats.send(start)
            found += await asyncio.gather(*map(self._tick_until, ends[start : start + _AT_ONCE]))
        return found

    async def _tick_until(self, end: float) -> Batch:
        return await self._store.read_between(self._query, since=end - self._tick, until=end)


def _conditions(text: str) -> tuple[Matcher, ...]:
    try:
        return parse_conditions(text)
    except ValueError as error:
        raise _rejected(str(error)) from error


def _rejected(message: str) -> Rejected:
    return Rejected(message, provider="metrics", operation="backtest")
