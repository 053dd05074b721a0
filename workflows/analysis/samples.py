"""Counts of one arm over some time, and the one value a rule looks at."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise

from workflows.analysis.batches import BAD, INFINITY, TOTAL
from workflows.model.analysis import GaugeMetric, HistogramMetric, Metric, RatioMetric
from workflows.model.shapes import Message


class Counts(Message):
    """What one arm counted over some time; of a gauge, its last value."""

    total: float = 0
    bad: float = 0
    buckets: dict[float, float] = {}
    """Cumulative by edge in seconds; `total` is the one without an edge."""
    value: float | None = None

    def plus(self, later: Counts) -> Counts:
        """Both times together; of different edges those that both have, because only they are true for both."""
        return Counts(
            total=self.total + later.total,
            bad=self.bad + later.bad,
            buckets=_joined(self, later),
            value=self.value if later.value is None else later.value,
        )

    @property
    def has_data(self) -> bool:
        """Whether anything can be said at all."""
        return self.total > 0 or self.value is not None


def _joined(one: Counts, other: Counts) -> dict[float, float]:
    if not one.total:
        return other.buckets
    if not other.total:
        return one.buckets
    return {edge: one.buckets[edge] + other.buckets[edge] for edge in one.buckets if edge in other.buckets}


def counts(metric: Metric, channels: dict[str, float]) -> Counts | None:
    """The counts of one process; None when they contradict each other (more bad than all, falling buckets)."""
    match metric:
        case RatioMetric():
            total, bad = channels.get(TOTAL, 0.0), channels.get(BAD, 0.0)
            return Counts(total=total, bad=bad) if bad <= total else None
        case HistogramMetric():
            return _histogram(channels)
        case GaugeMetric():
            return Counts()


def _histogram(channels: dict[str, float]) -> Counts | None:
    total = channels.get(INFINITY, 0.0)
    buckets = dict(sorted((float(edge), count) for edge, count in channels.items() if edge != INFINITY))
    rising = [*buckets.values(), total]
    if any(a > b for a, b in pairwise(rising)):
        return None
    return Counts(total=total, buckets=buckets)


def aggregated(metric: GaugeMetric, values: Iterable[float]) -> float | None:
    """One number of all instances' gauges; what is not finite is left out."""
    finite = [value for value in values if math.isfinite(value) and abs(value) <= 1e300]
    if not finite:
        return None
    if metric.aggregate == "max":
        return max(finite)
    total = sum(finite) if metric.aggregate == "sum" else sum(value / len(finite) for value in finite)
    return total if math.isfinite(total) else None


def sample(metric: Metric, counted: Counts) -> float | None:
    """The value a rule compares: a share, seconds, or the gauge itself; None without data."""
    match metric:
        case RatioMetric():
            return counted.bad / counted.total if counted.total > 0 else None
        case HistogramMetric():
            return quantile(metric.quantile, counted)
        case GaugeMetric():
            return counted.value


def quantile(share: float, counted: Counts) -> float | None:
    """The duration within which this share of the requests ended, as Prometheus' histogram_quantile interpolates it.

    Beyond the highest edge nothing is known but that it was exceeded: the answer is the next number above that edge.
    """
    if counted.total <= 0 or not counted.buckets:
        return None
    edges, cumulative = list(counted.buckets), list(counted.buckets.values())
    rank = share * counted.total
    index = bisect_left(cumulative, rank)
    if index == len(edges):
        return math.nextafter(edges[-1], math.inf)
    lower = edges[index - 1] if index else min(0.0, edges[0])
    below = cumulative[index - 1] if index else 0.0
    inside = cumulative[index] - below
    return lower + (edges[index] - lower) * ((rank - below) / inside if inside > 0 else 1.0)
