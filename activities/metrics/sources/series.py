"""From the samples of one process to the channels of a metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from activities.metrics.exposition import Sample, series_id
from workflows.analysis.batches import BAD, INFINITY, TOTAL
from workflows.model.analysis import GaugeMetric, HistogramMetric, Metric, RatioMetric
from workflows.model.series import Matcher, Selector, parse_selector

Find = Callable[[str], Iterable[Sample]]
"""The samples of one name that belong to the slot in question."""

TOTAL_QUERY, BAD_QUERY, QUERY = "totalQuery", "badQuery", "query"
"""The fields with a person's own queries."""

Channels = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Naming:
    """What a source calls requests, failed requests and their durations."""

    total: str
    failed: tuple[Matcher, ...]
    """Any one of these labels makes a request a failed one."""
    durations: str
    """A histogram, without its suffix."""
    durations_unit: float = 1.0
    """Seconds per unit of the histogram's edges."""


def own(metric: Metric, field: str) -> str:
    """The name by which `find` knows what a person's own query found: no series has it."""
    return f"{metric.name}@{field}"


def is_own(name: str) -> bool:
    """Whether a name is that of a query."""
    return "@" in name


def counters(metric: Metric, naming: Naming, find: Find) -> Channels | None:
    """Cumulative values by channel and series; None for a gauge. A metric without any series has empty channels."""
    match metric:
        case RatioMetric(bad_query=str()):
            total, bad = own(metric, TOTAL_QUERY), own(metric, BAD_QUERY)
            return {TOTAL: _values(total, find(total)), BAD: _values(bad, find(bad))}
        case RatioMetric():
            return _ratio(metric, naming, find)
        case HistogramMetric():
            return _histogram(metric, naming, find)
        case GaugeMetric():
            return None


def gauges(metric: Metric, find: Find) -> tuple[float, ...] | None:
    """The values of all series of a gauge; None for counters."""
    if isinstance(metric, GaugeMetric) and metric.query is not None:
        return tuple(sample.value for sample in find(own(metric, QUERY)))
    if not isinstance(metric, GaugeMetric) or metric.series is None:
        return None
    return tuple(sample.value for sample in _selected(parse_selector(metric.series), find))


def _ratio(metric: RatioMetric, naming: Naming, find: Find) -> Channels:
    if metric.bad is not None and metric.total is not None:
        return {TOTAL: _series(parse_selector(metric.total), find), BAD: _series(parse_selector(metric.bad), find)}
    everything = list(find(naming.total))
    failed = [s for s in everything if any(matcher.matches(s.labels) for matcher in naming.failed)]
    return {TOTAL: _values(naming.total, everything), BAD: _values(naming.total, failed)}


def _histogram(metric: HistogramMetric, naming: Naming, find: Find) -> Channels:
    selector = parse_selector(metric.series) if metric.series else Selector(naming.durations)
    buckets = Selector(own(metric, QUERY)) if metric.query else Selector(f"{selector.name}_bucket", selector.matchers)
    unit = 1.0 if metric.query else naming.durations_unit
    channels: Channels = {}
    for sample in _selected(buckets, find):
        edge = _edge(sample.labels.get("le", ""), unit)
        if edge is not None:
            _add(channels.setdefault(edge, {}), series_id(buckets.name, sample.labels), sample.value)
    return channels


def _edge(le: str, unit: float) -> str | None:
    try:
        edge = float(le)
    except ValueError:
        return None
    return INFINITY if edge == float("inf") else repr(edge * unit)


def _selected(selector: Selector, find: Find) -> Iterable[Sample]:
    return (sample for sample in find(selector.name) if selector.matches(sample.labels))


def _series(selector: Selector, find: Find) -> dict[str, float]:
    return _values(selector.name, _selected(selector, find))


def _values(name: str, samples: Iterable[Sample]) -> dict[str, float]:
    values: dict[str, float] = {}
    for sample in samples:
        _add(values, series_id(name, sample.labels), sample.value)
    return values


def _add(values: dict[str, float], series: str, value: float) -> None:
    """A page that names a series twice means the sum, as its writer merged several registries."""
    values[series] = values.get(series, 0.0) + value
