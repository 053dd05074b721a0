"""What a metric asks of Prometheus, for one slot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from activities.metrics.prometheus.arms import Arm, by_pods, pods_of, workload_of
from activities.metrics.prometheus.instances import Span
from activities.metrics.prometheus.promql import listed, selector
from activities.metrics.prometheus.querysets import QuerySet
from activities.metrics.prometheus.settings import Labels
from activities.metrics.protocol import Query
from activities.metrics.sources.series import BAD_QUERY, QUERY, TOTAL_QUERY, Naming, own
from workflows.errors import Unsupported
from workflows.model.analysis import GaugeMetric, HistogramMetric, Metric, RatioMetric
from workflows.model.promql import filled, is_of_a_version, variables
from workflows.model.series import Selector, parse_selector
from workflows.model.target import Slot, Target

SCRAPES = 4
"""What a rate needs to be one; `{{window}}` is never shorter."""


@dataclass(frozen=True)
class Question:
    """Series of one slot that are looked for by one name."""

    slot: Slot
    name: str
    """As `sources.series` looks for it."""
    promql: str
    form: Literal["series", "counters", "numbers"] = "series"
    """Raw series, or what a person's own expression makes of some: counters, or numbers as they are now."""

    def text(self, span: Span) -> str:
        """The query at the end of the span."""
        match self.form:
            case "series":
                return f"{self.promql}[{span.reach:.0f}s]"
            case "counters":  # Evaluated at multiples of the tick, so at the same moments whoever asks.
                return f"({self.promql})[{span.reach:.0f}s:{span.until - span.since:.0f}s]"
            case "numbers":
                return self.promql


@dataclass(frozen=True)
class Asker:
    """Asks for one source."""

    queries: QuerySet
    query: Query
    labels: Labels
    resolution: float

    def questions(self, metric: Metric) -> Iterator[Question]:
        """Everything that the metric needs to know. Errors: Unsupported where a component has no such series."""
        written = list(_written(metric))
        for slot in self.query.slots:
            for name, promql, form in written:
                if is_of_a_version(promql) or slot in self._firsts:
                    yield Question(slot, own(metric, name), filled(promql, self._values(metric, promql, slot)), form)
            if not written:
                yield from self._named(metric, slot)

    def arm(self, slot: Slot) -> Arm:
        """What the series of a slot have in common."""
        return self.query.arms.get(slot) or self.queries.arm(self.query.target, slot, self.labels)

    def is_ours(self, labels: Mapping[str, str]) -> bool:
        """Whether a series that was found is meant, where no condition can say it."""
        return bool(self.query.arms) or self.queries.is_ours(self.query.target, labels)

    @property
    def _firsts(self) -> tuple[Slot, ...]:
        """One slot for each version: a number that is about neither counts once for both."""
        return (*self.query.new[:1], *self.query.old[:1])

    def _named(self, metric: Metric, slot: Slot) -> Iterator[Question]:
        for wanted in _selectors(metric, self.queries.naming):
            names = self.queries.spellings(wanted.name, slot)
            yield Question(slot, wanted.name, selector(names, (*self.arm(slot), *wanted.matchers)))

    def _values(self, metric: Metric, promql: str, slot: Slot) -> dict[str, str]:
        values: dict[str, Callable[[], str]] = {
            "selector": lambda: self._selector(slot),
            "pods": lambda: pods_of(self._target, slot),
            "workload": lambda: workload_of(self._target, slot),
            "slot": lambda: slot,
            "stable": lambda: self._selector("stable"),
            "canary": lambda: self._selector("canary"),
            "namespace": lambda: self._target.namespace,
            "version": lambda: self.query.version,
            "window": lambda: self._window(metric),
        }
        return {name: values[name]() for name in variables(promql)}

    def _selector(self, slot: Slot) -> str:
        return listed(self.query.arms.get(slot) or by_pods(self.query.target, slot, self.labels))

    @property
    def _target(self) -> Target:
        if self.query.arms:
            message = "versions are told apart by labels here and no target is known; use {{selector}} in queries"
            raise Unsupported(message, provider="prometheus")
        return self.query.target

    def _window(self, metric: Metric) -> str:
        interval = metric.rule.interval.total_seconds() if metric.rule else 0.0
        return f"{max(interval, SCRAPES * self.resolution):.0f}s"


def _written(metric: Metric) -> Iterator[tuple[str, str, Literal["counters", "numbers"]]]:
    match metric:
        case RatioMetric(bad_query=str(bad), total_query=str(total)):
            yield TOTAL_QUERY, total, "counters"
            yield BAD_QUERY, bad, "counters"
        case HistogramMetric(query=str(buckets)):
            yield QUERY, buckets, "counters"
        case GaugeMetric(query=str(numbers)):
            yield QUERY, numbers, "numbers"
        case _:
            pass


def _selectors(metric: Metric, naming: Naming) -> Iterator[Selector]:
    match metric:
        case RatioMetric(bad=None):
            yield Selector(naming.total)
        case RatioMetric():
            yield from (parse_selector(text) for text in (metric.total, metric.bad) if text)
        case HistogramMetric():
            durations = parse_selector(metric.series) if metric.series else Selector(naming.durations)
            yield Selector(f"{durations.name}_bucket", durations.matchers)
        case GaugeMetric():
            if metric.series:
                yield parse_selector(metric.series)
