"""What the queries of an analysis find just now, asked by somebody who wants to know before a release does."""

from __future__ import annotations

from collections.abc import Iterator

from activities.metrics.clock import Clock
from activities.metrics.measuring import RUNNING, Stretch, latest
from activities.metrics.protocol import MetricsProvider, Query
from workflows.analysis.arms import source_of
from workflows.analysis.batches import INFINITY, TOTAL, Unit
from workflows.analysis.evidence.edges import FEWEST, HIGHEST_SHARE, LOWEST_SHARE
from workflows.analysis.samples import Counts
from workflows.analysis.wording import amount, duration
from workflows.contracts.metrics import Examined, ExamineRequest, MetricExamined, MetricProblem, VersionSeen
from workflows.errors import ProviderError
from workflows.model.analysis import Analysis, GaugeMetric, HistogramMetric, Metric
from workflows.model.target import SLOTS, Slot

_SCRAPED = (
    "see that its pods or proxies are scraped and have these series, or name another source; "
    "docs/how-to/prometheus.md says what each reads"
)
_REACHED = "correct metrics.{} in the settings of the workers, or what it names"
_USED = "send it some: without requests no stage passes"
_EDGES = "give the histogram edges at the usual duration and at a few times that"
_LIMIT = "give the histogram an edge at the limit, or lower the limit"


async def examine(provider: MetricsProvider, analysis: Analysis, request: ExamineRequest, clock: Clock) -> Examined:
    """One look at both versions; a canary that is not there is no problem."""
    query = Query(request.target, analysis.metrics, ("canary",), RUNNING, request.version, clock, max_age=0.0)
    try:
        stretch = await latest(provider, query)
    except ProviderError as error:
        problem = MetricProblem(message=str(error), remedy=_REACHED.format(analysis.provider))
        return Examined(provider=analysis.provider, problems=(problem,))
    metrics = tuple(_examined(metric, stretch) for metric in analysis.metrics)
    return Examined(provider=analysis.provider, metrics=metrics)


def _examined(metric: Metric, stretch: Stretch) -> MetricExamined:
    return MetricExamined(
        name=metric.name,
        kind=metric.kind,
        source=source_of(metric),
        versions=tuple(_seen(metric, slot, stretch) for slot in SLOTS),
        problems=tuple(_problems(metric, stretch)),
    )


def _seen(metric: Metric, slot: Slot, stretch: Stretch) -> VersionSeen:
    found = _units(metric, slot, stretch)
    counted = stretch.readings.arm(metric, (slot,))
    seen = VersionSeen(slot=slot, instances=len(found), series=sum(_series(metric, unit) for unit in found))
    if isinstance(metric, GaugeMetric):
        return seen.model_copy(update={"value": counted.value})
    update = {"requests_per_second": counted.total / stretch.seconds if found and stretch.seconds else None}
    if isinstance(metric, HistogramMetric):
        return seen.model_copy(update=update | {"usable_buckets": len(_usable(counted))})
    return seen.model_copy(update=update | {"failing": counted.bad / counted.total if counted.total else None})


def _units(metric: Metric, slot: Slot, stretch: Stretch) -> list[Unit]:
    """Who answered with series of the metric."""
    units = [unit for unit in stretch.readings.batch.units if unit.slot == slot and unit.source == source_of(metric)]
    return [unit for unit in units if _series(metric, unit)]


def _series(metric: Metric, unit: Unit) -> int:
    channels = unit.counters.get(metric.name, {})
    return len(unit.gauges.get(metric.name, ())) + len(channels.get(TOTAL, {})) + len(channels.get(INFINITY, {}))


def _usable(counted: Counts) -> list[float]:
    if not counted.total:
        return []
    slower = {edge: (counted.total - count) / counted.total for edge, count in counted.buckets.items()}
    return [edge for edge, share in slower.items() if LOWEST_SHARE <= share <= HIGHEST_SHARE]


def _problems(metric: Metric, stretch: Stretch) -> Iterator[MetricProblem]:
    """What keeps the metric from saying anything of the version that runs."""
    if unread := stretch.readings.problem(metric, RUNNING):
        yield MetricProblem(message=unread, remedy=_SCRAPED)
        return
    counted = stretch.readings.arm(metric, RUNNING)
    if stretch.readings.dropped and not counted.has_data:
        message = "its values are no counts: NaN, negative, or more failed requests than requests"
        yield MetricProblem(message=message, remedy="correct what the pods count, or the query")
    elif isinstance(metric, GaugeMetric):
        if counted.value is None:
            yield MetricProblem(message="it has no value", remedy=_SCRAPED)
    elif not _seen(metric, "stable", stretch).series:
        yield MetricProblem(message="no series was found", remedy=_SCRAPED)
    elif not counted.total and _is_new(metric, stretch):
        message = f"it is scraped for less than {duration(stretch.seconds)}, so no requests can be told yet"
        yield MetricProblem(message=message, remedy="ask again in a while")
    elif not counted.total:
        yield MetricProblem(message=f"no request was counted in {duration(stretch.seconds)}", remedy=_USED)
    elif isinstance(metric, HistogramMetric):
        yield from _edges(metric, counted)


def _is_new(metric: Metric, stretch: Stretch) -> bool:
    """Whether a store knows nothing of what the running version counted before."""
    units = _units(metric, "stable", stretch)
    return stretch.readings.batch.since is not None and all(unit.before is None for unit in units)


def _edges(metric: HistogramMetric, counted: Counts) -> Iterator[MetricProblem]:
    usable, limit = len(_usable(counted)), metric.slo.max.total_seconds() if metric.slo else 0.0
    if metric.compare and usable < FEWEST:
        message = f"{usable} of {len(counted.buckets)} edges tell fast from slow, and {FEWEST} are needed to compare"
        yield MetricProblem(message=message, remedy=_EDGES)
    if limit > (highest := max(counted.buckets, default=0.0)):
        message = f"its limit of {amount(limit, 's')} lies beyond the highest edge, {amount(highest, 's')}"
        yield MetricProblem(message=message, remedy=_LIMIT)
