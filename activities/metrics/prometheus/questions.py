"""What a metric asks of Prometheus, for one slot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from activities.metrics.prometheus.promql import selector
from activities.metrics.prometheus.querysets import QuerySet
from activities.metrics.prometheus.settings import Labels
from activities.metrics.sources.series import Naming
from workflows.model.analysis import GaugeMetric, HistogramMetric, Metric, RatioMetric
from workflows.model.series import Selector, parse_selector
from workflows.model.target import Slot, Target


class Question(NamedTuple):
    """Series of one name, of one slot."""

    slot: Slot
    name: str
    """As `sources.series` looks for it."""
    promql: str


def questions(metric: Metric, queries: QuerySet, target: Target, slot: Slot, labels: Labels) -> Iterator[Question]:
    """Everything that the metric needs to know of the slot. Errors: Unsupported where the slot has no such series."""
    arm = queries.arm(target, slot, labels)
    for wanted in _selectors(metric, queries.naming):
        names = queries.spellings(wanted.name, slot)
        yield Question(slot, wanted.name, selector(names, (*arm, *wanted.matchers)))


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
