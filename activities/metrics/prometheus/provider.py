"""Metrics from a Prometheus: raw counters per series, read between fixed moments.

The answer about a tick depends on the tick alone, so an attempt that takes over after a crash sees what the lost one
saw. Counters come as they were scraped: nothing is extrapolated, and no sum over processes is differenced.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence

from activities.metrics.clock import Clock, SystemClock
from activities.metrics.exposition import Sample
from activities.metrics.prometheus.instances import Instance, Span
from activities.metrics.prometheus.promql import any_of, selector
from activities.metrics.prometheus.querysets import QUERY_SETS, QuerySet
from activities.metrics.prometheus.questions import Asker, Question
from activities.metrics.prometheus.server import Series, Server
from activities.metrics.prometheus.settings import PrometheusSettings
from activities.metrics.protocol import Query
from activities.metrics.sources.series import Channels, counters, gauges
from workflows.analysis.arms import source_of
from workflows.analysis.batches import Batch, Missing, Unit
from workflows.errors import Unsupported
from workflows.model.analysis import Metric
from workflows.model.series import Matcher
from workflows.model.target import Slot, Target

Instances = dict[Slot, dict[tuple[str, str], Instance]]


class PrometheusProvider:
    """One server; what it is asked is shared by all observations."""

    def __init__(self, settings: PrometheusSettings, *, now: Callable[[], float] = time.monotonic) -> None:
        self.server = Server(settings, now=now)
        self._settings = settings

    @property
    def resolution(self) -> float:
        return float(math.ceil(self._settings.scrape_interval.total_seconds()))

    async def settled(self, clock: Clock) -> float:
        skew = await self.server.skew(clock)
        return clock.now() + skew - self._settings.lag.total_seconds()

    async def read(self, query: Query, *, fresh: bool = False) -> Batch:
        del fresh
        until = math.floor(await self.settled(query.clock))
        return await self.read_between(query, since=until - self.resolution, until=until)

    async def read_between(self, query: Query, *, since: float, until: float) -> Batch:
        span = Span(since, until)
        names = dict.fromkeys(source_of(metric) for metric in query.metrics)
        found = await asyncio.gather(*(self._source(name, query, span) for name in names))
        units = tuple(unit for units, _ in found for unit in units)
        missing = tuple(gap for _, gaps in found for gap in gaps)
        return Batch(until, units, missing, since=since)

    def objection(self, target: Target, metric: Metric) -> str:
        query = Query(target, (metric,), ("canary",), ("stable",), "", SystemClock(), max_age=0)
        try:
            list(self.asker(source_of(metric), query).questions(metric))
        except Unsupported as error:
            return str(error)
        return ""

    async def close(self) -> None:
        await self.server.close()

    async def _source(self, name: str, query: Query, span: Span) -> tuple[list[Unit], list[Missing]]:
        metrics = [metric for metric in query.metrics if source_of(metric) == name]
        try:
            asker = self.asker(name, query)
            asked = [question for metric in metrics for question in asker.questions(metric)]
        except Unsupported as error:
            return [], [Missing(name, slot, str(error)) for slot in query.slots]
        reading = _Reading(name, asker, span)
        for question, found in zip(
            asked, await asyncio.gather(*(self._ask(question, span) for question in asked)), strict=True
        ):
            reading.add(question, found)
        if reading.jobs:
            up = selector(["up"], [Matcher("job", "=~", any_of(reading.jobs))])
            reading.add_scrapes(await self._ask(Question(query.slots[0], "up", up), span))
        return reading.units(metrics), list(reading.missing(asked))

    def asker(self, source: str, query: Query) -> Asker:
        """Who knows what a source's metrics ask. Errors: Unsupported for a source that this provider has not."""
        return Asker(_query_set(source), query, self._settings.labels, self.resolution)

    async def _ask(self, question: Question, span: Span) -> list[Series]:
        return await self.server.ask(question.text(span), span.until)


def _query_set(name: str) -> QuerySet:
    if name not in QUERY_SETS:
        known = ", ".join(sorted(QUERY_SETS))
        raise Unsupported(f"prometheus has no source {name}; it has {known}", provider="prometheus")
    return QUERY_SETS[name]


class _Reading:
    """One source's answers about one tick, sorted by slot and target."""

    def __init__(self, source: str, asker: Asker, span: Span) -> None:
        self._source = source
        self._asker = asker
        self._span = span
        self._instances: Instances = {slot: {} for slot in asker.query.slots}
        self.jobs: set[str] = set()
        """Those of the targets that have our series."""

    def add(self, question: Question, found: Sequence[Series]) -> None:
        """Notes the answer to a question."""
        for series in found:
            if question.form != "series":
                self._instance(question.slot, Series({}, ())).add(question.name, series)
            elif self._asker.is_ours(series.labels):
                self._instance(question.slot, series).add(question.name, series)
                self.jobs |= {job for job in (series.labels.get("job"),) if job}

    def add_scrapes(self, found: Sequence[Series]) -> None:
        """Notes how scraping went, of targets that have none of our series yet too."""
        for series in found:
            for slot in self._slots(series):
                self._instance(slot, series).scrapes = series

    def units(self, metrics: Sequence[Metric]) -> list[Unit]:
        return [
            self._unit(slot, instance, metrics)
            for slot, found in self._instances.items()
            for instance in found.values()
            if instance.is_there(self._span)
        ]

    def missing(self, asked: Sequence[Question]) -> Iterator[Missing]:
        """What should have been there."""
        for slot, found in self._instances.items():
            is_own = self._asker.queries.is_own
            there = [one for one in found.values() if one.is_there(self._span) and (is_own or one.series)]
            if not any(one.is_there(self._span) for one in found.values()):
                yield Missing(self._source, slot, _nothing(asked, slot, self._span))
            for problem in filter(None, [*(each.problem(self._span) for each in there), _doubled(there)]):
                yield Missing(self._source, slot, problem)

    def _slots(self, scrapes: Series) -> list[Slot]:
        key, slots = _key(scrapes), self._asker.query.slots
        if self._asker.queries.is_own:
            return [slot for slot in slots if all(each.matches(scrapes.labels) for each in self._asker.arm(slot))]
        is_ours = any(key in found for found in self._instances.values())
        return list(slots) if is_ours else []

    def _instance(self, slot: Slot, series: Series) -> Instance:
        job, address = key = _key(series)
        found = self._instances[slot]
        if key not in found:
            found[key] = Instance(job, address, series.labels.get("pod", ""))
        return found[key]

    def _unit(self, slot: Slot, instance: Instance, metrics: Sequence[Metric]) -> Unit:
        span, naming = self._span, self._asker.queries.naming

        def channels(find: Callable[[Span, str], Iterator[Sample]]) -> dict[str, Channels]:
            answers = ((m.name, counters(m, naming, lambda name: find(span, name))) for m in metrics)
            return {name: found for name, found in answers if found is not None}

        return Unit(
            id=f"{self._source}:{slot}@{instance.job}/{instance.address}",
            slot=slot,
            source=self._source,
            counters=channels(instance.end),
            gauges={
                m.name: values
                for m in metrics
                if (values := gauges(m, lambda name: instance.fresh(span, name))) is not None
            },
            is_complete=True,
            before=channels(instance.before) if instance.is_known(span) else None,
        )


def _key(series: Series) -> tuple[str, str]:
    return series.labels.get("job", ""), series.labels.get("instance", "")


def _nothing(asked: Sequence[Question], slot: Slot, span: Span) -> str:
    wanted = next((question.promql for question in asked if question.slot == slot), "series")
    return f"Prometheus has no {wanted} in the last {span.reach:.0f} s"


def _doubled(there: Sequence[Instance]) -> str:
    """A pod that two jobs scrape counts every request twice, which would be taken for twice the evidence."""
    jobs: dict[str, set[str]] = {}
    for instance in there:
        if instance.pod and instance.series:
            jobs.setdefault(instance.pod, set()).add(f"{instance.job} at {instance.address}")
    for pod, found in jobs.items():
        if len(found) > 1:
            remedy = 'choose one of them: give bad and total, or series, with a label condition such as job="..."'
            return f"{pod} is scraped twice, as {' and '.join(sorted(found))}, so that requests count double; {remedy}"
    return ""
