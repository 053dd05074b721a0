"""A batch of raw counters to one tick per metric: who is new, who is old, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from workflows.analysis.batches import Batch, Unit
from workflows.analysis.counters import Increase, Raw, RawUnit, increase, known_before, starting_from_zero
from workflows.analysis.samples import Counts, aggregated, counts
from workflows.model.analysis import GaugeMetric, Metric
from workflows.model.target import Slot

DEFAULT_SOURCE = "app"
"""Where series without a named source are read."""


WEB = "web"
"""Where numbers of other systems come from."""


def source_of(metric: Metric) -> str:
    """The source whose answers this metric needs."""
    return metric.source or (WEB if isinstance(metric, GaugeMetric) and metric.web else DEFAULT_SOURCE)


@dataclass(slots=True)
class Readings:
    """A batch differenced against the one before; `dropped` counts what made no sense."""

    batch: Batch
    increases: dict[str, Increase] = field(default_factory=dict)
    dropped: int = 0

    def arm(self, metric: Metric, slots: Iterable[Slot]) -> Counts:
        """What the slots counted together."""
        units = [unit for unit in self.batch.units if _belongs(unit, metric, slots)]
        if isinstance(metric, GaugeMetric):
            return Counts(value=aggregated(metric, (value for unit in units for value in unit.gauges[metric.name])))
        total = Counts()
        for unit in units:
            increase = self.increases[unit.id]
            broken = metric.name in increase.broken
            counted = None if broken else counts(metric, increase.counters[metric.name])
            if counted is None:
                self.dropped += 1
            else:
                total = total.plus(counted)
        return total

    def problem(self, metric: Metric, slots: tuple[Slot, ...]) -> str:
        """Why the metric cannot be said to be covered for these slots; empty when it is."""
        source = source_of(metric)
        missing = [gap.message for gap in self.batch.missing if gap.source == source and gap.slot in slots]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            return f"{missing[0]}{more}"
        if any(_belongs(unit, metric, slots) for unit in self.batch.units):
            return ""
        return "there is nothing to ask: no instance of the new version is ready"


def read(batch: Batch, raw: Raw, *, since: float | None) -> Readings:
    """Differences every process's answer against what it said before."""
    readings = Readings(batch)
    for unit in batch.units:
        grown = increase(_previous(batch, unit, raw, since=since), unit)
        readings.increases[unit.id] = grown
        readings.dropped += grown.dropped
    return readings


def _previous(batch: Batch, unit: Unit, raw: Raw, *, since: float | None) -> RawUnit | None:
    if batch.since is not None:
        return None if unit.before is None else known_before(unit, at=batch.since)
    previous = raw.get(unit.id)
    return starting_from_zero(unit, since=since) if previous is None and since is not None else previous


def _belongs(unit: Unit, metric: Metric, slots: Iterable[Slot]) -> bool:
    found = unit.gauges if isinstance(metric, GaugeMetric) else unit.counters
    return unit.slot in slots and unit.source == source_of(metric) and metric.name in found
