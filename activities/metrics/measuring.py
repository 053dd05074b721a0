"""How many requests users send to the version that runs now, and how many fail: asked before a release, for its plan.

A store is asked about some minutes of the last hour, because all of its raw samples would be much; who only knows what
is now is asked twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import floor
from typing import NamedTuple

from activities.metrics.clock import Clock
from activities.metrics.protocol import MetricsProvider, Query, Store
from workflows.analysis.arms import Readings, read
from workflows.analysis.counters import remembered
from workflows.analysis.samples import Counts
from workflows.analysis.wording import duration
from workflows.contracts.metrics import Measured
from workflows.errors import ProviderError
from workflows.model.analysis import Analysis, GaugeMetric, Metric, RatioMetric, has_evidence
from workflows.model.target import Slot, Target

HOUR, LOOKS = 3600.0, 7
"""A store is asked about so many stretches of the last hour."""
STRETCH = 60.0
"""Seconds of each; longer where the store knows a counter less often."""
APART = 10.0
"""Seconds between the two looks at what is now."""

UNCOUNTED = "no metric of its analysis counts requests"

RUNNING: tuple[Slot, ...] = ("stable",)
"""Before a release nothing else need be there."""


class Stretch(NamedTuple):
    """What was counted in some time."""

    readings: Readings
    seconds: float


async def measure(provider: MetricsProvider, analysis: Analysis, target: Target, clock: Clock) -> Measured:
    """The traffic, or why it is not known."""
    metric = counting(analysis)
    if metric is None:
        return Measured(message=UNCOUNTED)
    query = Query(target, (metric,), (), RUNNING, "", clock, max_age=0.0)
    try:
        found = [stretch async for stretch in _stretches(provider, query)]
    except ProviderError as error:
        return Measured(message=str(error))
    over = "over the last hour" if isinstance(provider, Store) else f"over {duration(APART)} just now"
    return _summed(metric, found, over)


async def latest(provider: MetricsProvider, query: Query) -> Stretch:
    """What was counted just now. Errors: ProviderError."""
    return await anext(_stretches(provider, query))


def _stretches(provider: MetricsProvider, query: Query) -> AsyncIterator[Stretch]:
    """The newest first."""
    return _remembered(provider, query) if isinstance(provider, Store) else _seen(provider, query)


def counting(analysis: Analysis) -> Metric | None:
    """The metric to ask about: one of failures if there is one, with evidence if possible."""
    counting = [metric for metric in analysis.metrics if not isinstance(metric, GaugeMetric)]
    ordered = sorted(counting, key=lambda metric: (not isinstance(metric, RatioMetric), not has_evidence(metric)))
    return ordered[0] if ordered else None


async def _remembered(store: Store, query: Query) -> AsyncIterator[Stretch]:
    length = max(STRETCH, 2 * store.resolution)
    now = floor(await store.settled(query.clock))
    for look in range(LOOKS):
        until = now - look * (HOUR - length) / (LOOKS - 1)
        batch = await store.read_between(query, since=until - length, until=until)
        yield Stretch(read(batch, {}, since=None), length)


async def _seen(provider: MetricsProvider, query: Query) -> AsyncIterator[Stretch]:
    first = await provider.read(query, fresh=True)
    if not first.units:
        yield Stretch(read(first, {}, since=None), 0.0)
        return
    await query.clock.sleep(APART)
    second = await provider.read(query, fresh=True)
    yield Stretch(read(second, remembered({}, first.units, at=first.at), since=None), second.at - first.at)


def _summed(metric: Metric, stretches: list[Stretch], over: str) -> Measured:
    known = [stretch for stretch in stretches if not stretch.readings.problem(metric, RUNNING)]
    seconds = sum(stretch.seconds for stretch in known)
    if seconds <= 0:
        problem = stretches[0].readings.problem(metric, RUNNING) if stretches else "nothing was answered"
        return Measured(message=f"{metric.name}: {problem}")
    counted = Counts()
    for stretch in known:
        counted = counted.plus(stretch.readings.arm(metric, RUNNING))
    is_known = isinstance(metric, RatioMetric) and counted.total > 0
    # Where none failed, less than one did.
    failing = max(counted.bad, 1.0) / max(counted.total, 1.0) if is_known else None
    return Measured(requests_per_second=counted.total / seconds, failing=failing, message=f"measured {over}")
