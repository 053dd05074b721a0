"""A recording of both versions, to be played to an analysis: the rows of a CSV as counters that grow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median

from cli.errors import BadInput
from cli.rows import EDGE, Row, is_edge, rows_of
from workflows.analysis.batches import INFINITY, TOTAL, Batch, Missing, Unit
from workflows.analysis.playback import Staged
from workflows.errors import Problem, SpecError
from workflows.model.analysis import Analysis
from workflows.model.target import Slot

_SHORTEST, _LONGEST = 0.1, 60.0
"""Seconds of a tick, as in documents."""


@dataclass(frozen=True)
class Recording:
    """Readings, and the analysis as it is played to them: with their tick."""

    analysis: Analysis
    readings: tuple[Staged, ...]
    left_out: tuple[str, ...] = ()
    """Metrics of the document that it says nothing about."""


def read(file: Path, analysis: Analysis) -> Recording:
    """What a file recorded. Errors: BadInput; SpecError with the line, column and value of all that is wrong."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read: {error}") from error
    return recorded(text, analysis)


def recorded(text: str, analysis: Analysis) -> Recording:
    """What a text recorded. Errors: SpecError as `read`."""
    return _recording(rows_of(text, analysis), analysis)


def _recording(found: Sequence[Row], analysis: Analysis) -> Recording:
    times = [(at, list(group)) for at, group in groupby(found, key=lambda row: row.at)]
    tick = median([later - earlier for (earlier, _), (later, _) in pairwise(times)] or [analysis.tick.total_seconds()])
    if not _SHORTEST <= tick <= _LONGEST:
        allowed = f"ticks may be {_SHORTEST:g} to {_LONGEST:g} s long"
        raise SpecError([Problem("time", f"rows are {tick:g} s apart, usually; {allowed}")])
    # A metric that has no row at some time did not answer, whatever the others say; so each is a source of its own.
    there = {row.metric.name for row in found}
    metrics = tuple(
        metric.model_copy(update={"source": metric.name}) for metric in analysis.metrics if metric.name in there
    )
    played = analysis.model_copy(update={"metrics": metrics, "tick": timedelta(seconds=tick)})
    counters = _Counters.of(found)
    start = Staged(Batch(times[0][0] - tick, counters.units()), times[0][1][0].stage)
    readings = (start, *(counters.reading(at, group) for at, group in times))
    return Recording(played, readings, tuple(m.name for m in analysis.metrics if m.name not in there))


class _Counters:
    """What every metric of both versions has counted up to a time, as its instances would tell it."""

    def __init__(self, arms: Mapping[tuple[str, Slot], dict[str, float]]) -> None:
        self._arms = arms

    @classmethod
    def of(cls, found: Sequence[Row]) -> _Counters:
        """At the beginning: nothing, of everything that will be counted."""
        arms: dict[tuple[str, Slot], dict[str, float]] = defaultdict(dict)
        for row in found:
            arms[row.metric.name, row.slot] |= dict.fromkeys(row.numbers, 0.0)
        return cls(arms)

    def reading(self, at: float, group: Sequence[Row]) -> Staged:
        """The same some rows later."""
        for row in group:
            totals = self._arms[row.metric.name, row.slot]
            totals |= {name: number + totals[name] * (name != "value") for name, number in row.numbers.items()}
        there = {(row.metric.name, row.slot) for row in group}
        missing = [Missing(name, slot, f"no row of {slot}") for name, slot in self._arms if (name, slot) not in there]
        return Staged(Batch(at, self.units(there), tuple(missing)), group[0].stage)

    def units(self, there: Collection[tuple[str, Slot]] | None = None) -> tuple[Unit, ...]:
        """One for each metric and version."""
        arms = self._arms if there is None else there
        return tuple(_unit(name, slot, self._arms[name, slot]) for name, slot in self._arms if (name, slot) in arms)


def _unit(metric: str, slot: Slot, totals: Mapping[str, float]) -> Unit:
    is_histogram = any(map(is_edge, totals))
    channels = {_channel(name, is_histogram): {"": number} for name, number in totals.items() if name != "value"}
    values = {metric: (totals["value"],)} if "value" in totals else {}
    counters = {metric: channels} if channels else {}
    return Unit(f"{metric}:{slot}", slot, metric, counters, values, is_complete=True)


def _channel(column: str, is_histogram: bool) -> str:
    if column == TOTAL:
        return INFINITY if is_histogram else TOTAL
    return column.removeprefix(EDGE)
