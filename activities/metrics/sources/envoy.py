"""The router's view: what Envoy counted per cluster, one cluster per slot.

`upstream_rq_<n>xx` counts every request that was routed to the cluster, with the answer that users got: local ones
after a reset, a timeout or for want of a healthy endpoint are 5xx here too (measured on 1.40). Durations
(`upstream_rq_time`, in milliseconds) leave those out, so a version that hangs shows as failed, not as slow. Envoy adds
up durations at its `stats_flush_interval`, 5 s unless the bootstrap says otherwise.

One question per tick serves every observation of an Envoy: it asks for the few counters of all of Headgate's clusters
(`<route>.<slot>`), not for one route's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from activities.metrics.exposition import Exposition, Sample
from activities.metrics.protocol import Query
from activities.metrics.scraping import Scraper
from activities.metrics.sources.protocol import Answers
from activities.metrics.sources.series import Naming, counters, gauges
from workflows.analysis.batches import Missing, Unit
from workflows.errors import TemporaryError
from workflows.model.analysis import GaugeMetric, HistogramMetric, Metric, RatioMetric
from workflows.model.series import Matcher
from workflows.model.target import Slot, Target

_PREFIX = "envoy_cluster_"
_LABEL = "envoy_cluster_name"
NAMING = Naming(
    total="envoy_cluster_upstream_rq_xx",
    failed=(Matcher("envoy_response_code_class", "=", "5"),),
    durations="envoy_cluster_upstream_rq_time",
    durations_unit=0.001,
)
"""What Envoy calls requests to a cluster and their durations."""
_UPTIME = r"^server\.uptime$"
_COUNTS = r"^cluster\.[^.]+\.(stable|canary)\.upstream_rq_[1-5]xx$"
_DURATIONS = r"^cluster\.[^.]+\.(stable|canary)\.(upstream_rq_[1-5]xx|upstream_rq_time)$"


class EnvoySource:
    """Reads the admin endpoints of one or more Envoys that share their routes."""

    name = "envoy"

    def __init__(self, admins: Sequence[str], scraper: Scraper) -> None:
        self._admins = tuple(admin.rstrip("/") for admin in admins)
        self._scraper = scraper

    def objection(self, target: Target, metric: Metric) -> str:
        del metric
        if not self._admins:
            return "the settings of the metrics provider name no Envoy; add envoys, or use another source"
        if not _route(target):
            return f"{target.component} has no Envoy route, so Envoy counts nothing for it; use another source"
        return ""

    async def read(self, query: Query, metrics: Sequence[Metric], *, max_age: float) -> Answers:
        answers = Answers([], [])
        route = _route(query.target)
        for admin in self._admins:
            try:
                page = await self._scraper.get(_url(admin, route, metrics), max_age=max_age)
                asked = _Asked(admin, route, metrics, query.clock.now())
                answers.units.extend(_unit(page, asked, slot) for slot in query.slots)
            except (TemporaryError, ValueError) as error:
                answers.missing.extend(Missing(self.name, slot, str(error)) for slot in query.slots)
        return answers


def _route(target: Target) -> str:
    return str(target.traffic.get("route", ""))


class _Asked(NamedTuple):
    """One question to one Envoy."""

    admin: str
    route: str
    metrics: Sequence[Metric]
    at: float


def _url(admin: str, route: str, metrics: Sequence[Metric]) -> str:
    wanted = _COUNTS
    if any(_has_own_series(metric) for metric in metrics):
        wanted = rf"^cluster\.{route}\.(stable|canary)\."
    elif any(isinstance(metric, HistogramMetric) for metric in metrics):
        wanted = _DURATIONS
    return f"{admin}/stats/prometheus?usedonly&filter={quote(f'{wanted}|{_UPTIME}', safe='')}"


def _has_own_series(metric: Metric) -> bool:
    match metric:
        case RatioMetric():
            return metric.bad is not None
        case HistogramMetric():
            return metric.series is not None
        case GaugeMetric():
            return True


def _unit(page: Exposition, asked: _Asked, slot: Slot) -> Unit:
    def find(name: str) -> Iterable[Sample]:
        return _of_cluster(page, name, asked.route, slot)

    uptime = page.value("envoy_server_uptime")
    return Unit(
        id=f"envoy:{slot}@{asked.admin}",
        slot=slot,
        source=EnvoySource.name,
        counters={m.name: found for m in asked.metrics if (found := counters(m, NAMING, find)) is not None},
        gauges={m.name: values for m in asked.metrics if (values := gauges(m, find)) is not None},
        started=None if uptime is None else asked.at - uptime,
        is_complete=True,
    )


def spellings(name: str, slot: Slot) -> Sequence[str]:
    """Envoy takes a cluster's name to end at its first dot: without own tags the slot joins the metric's name."""
    if not name.startswith(_PREFIX):
        return (name,)
    return name, f"{_PREFIX}{slot}_{name.removeprefix(_PREFIX)}"


def _of_cluster(page: Exposition, name: str, route: str, slot: Slot) -> Iterable[Sample]:
    clusters = (f"{route}.{slot}", route)
    named = zip(spellings(name, slot), clusters, strict=False)
    return [sample for name, cluster in named for sample in page.labelled(name, _LABEL, cluster)]
