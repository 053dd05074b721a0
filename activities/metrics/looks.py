"""What one observation sees each time that it looks: the three ways to get from a state to the next.

A provider that is asked "now" is looked at on a grid that all observers share. A store that remembers is read tick by
tick on that same grid, each tick once and in order however late: what an attempt after a crash reads is what the lost
one read, and a time in which no worker looked is seen as if somebody had. Nothing here decides.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Protocol

from activities.metrics.clock import Clock
from activities.metrics.protocol import MetricsProvider, Query, Store
from workflows.analysis.arms import source_of
from workflows.analysis.batches import Batch, Missing
from workflows.analysis.session import Segment, SessionState, Step, step, step_time
from workflows.errors import ProviderError
from workflows.model.analysis import Analysis

WITHOUT_ANALYSIS = timedelta(seconds=5)
"""The tick where only time is observed."""

MEMORY = 3600.0
"""Seconds of a store that are read after; what is older is a gap."""


class Looks(Protocol):
    """A way to look."""

    async def look(self, state: SessionState) -> Step | None:
        """The next step, or None when there is none yet."""
        ...

    def next(self) -> float:
        """When to look again; a moment that is over means at once."""
        ...


def grid_after(at: float, tick: float) -> float:
    """The first point after a moment of the grid that all observers share, so that they ask at the same time."""
    return (at // tick + 1) * tick


def on_ticks_of(store: Store, analysis: Analysis) -> Analysis:
    """The analysis with whole seconds as its tick, and none that is shorter than what the store can tell apart."""
    seconds = max(float(ceil(analysis.tick.total_seconds())), store.resolution)
    return analysis.model_copy(update={"tick": timedelta(seconds=seconds)})


class TimeLooks:
    """Without an analysis: time passes."""

    def __init__(self, segment: Segment, clock: Clock) -> None:
        self._segment = segment
        self._clock = clock

    async def look(self, state: SessionState) -> Step | None:
        return step_time(WITHOUT_ANALYSIS, self._segment, state, self._clock.now())

    def next(self) -> float:
        return grid_after(self._clock.now(), WITHOUT_ANALYSIS.total_seconds())


class LiveLooks:
    """At what a provider says now."""

    def __init__(self, analysis: Analysis, segment: Segment, query: Query, provider: MetricsProvider) -> None:
        self._analysis = analysis
        self._segment = segment
        self._query = query
        self._provider = provider
        self._is_first = True

    async def look(self, state: SessionState) -> Step | None:
        is_first, self._is_first = self._is_first, False
        try:
            batch = await self._provider.read(self._query, fresh=is_first)
        except ProviderError as error:
            batch = _nothing(self._query, str(error), at=self._query.clock.now())
        return step(self._analysis, self._segment, state, batch)

    def next(self) -> float:
        return grid_after(self._query.clock.now(), self._analysis.tick.total_seconds())


class StoredLooks:
    """At what a store remembers, tick by tick."""

    def __init__(self, analysis: Analysis, segment: Segment, query: Query, store: Store) -> None:
        self._analysis = on_ticks_of(store, analysis)
        self._segment = segment
        self._query = query
        self._store = store
        self._tick = self._analysis.tick.total_seconds()
        self._next = 0.0
        self._blind: SessionState | None = None

    async def look(self, state: SessionState) -> Step | None:
        now = self._query.clock.now()
        try:
            settled = await self._store.settled(self._query.clock)
            due = self._due(state, settled)
            if due > settled:
                self._next = now + due - settled
                return None
            self._next = now + due + self._tick - settled
            batch = await self._store.read_between(self._query, since=due - self._tick, until=due)
        except ProviderError as error:
            self._next = grid_after(now, self._tick)
            return self._unanswered(state, str(error), now)
        self._blind = None
        return step(self._analysis, self._segment, state, batch)

    def next(self) -> float:
        return self._next

    def _due(self, state: SessionState, settled: float) -> float:
        """The end of the next tick to read."""
        if state.at is None:
            began = settled if self._segment.since is None else self._segment.since
            return began // self._tick * self._tick
        due = grid_after(state.at, self._tick)
        return due if due >= settled - MEMORY else settled // self._tick * self._tick

    def _unanswered(self, state: SessionState, problem: str, now: float) -> Step:
        """What a store that does not answer means for the patience; the state waits for its answer.

        So evidence depends on what the store remembers, and never on when it could be reached.
        """
        before = self._blind or state
        at = now if before.at is None else max(now, before.at)
        seen = step(self._analysis, self._segment, before, _nothing(self._query, problem, at=at))
        self._blind = seen.state
        return seen._replace(state=state)


def looks(
    analysis: Analysis | None, segment: Segment, query: Query | None, provider: MetricsProvider | None, clock: Clock
) -> Looks:
    """The way to look that the provider has."""
    if analysis is None or query is None or provider is None:
        return TimeLooks(segment, clock)
    if isinstance(provider, Store):
        return StoredLooks(analysis, segment, query, provider)
    return LiveLooks(analysis, segment, query, provider)


def _nothing(query: Query, message: str, *, at: float) -> Batch:
    sources = dict.fromkeys(source_of(metric) for metric in query.metrics)
    return Batch(at, (), tuple(Missing(s, slot, message) for s in sources for slot in query.slots))
