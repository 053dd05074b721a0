"""Raw cumulative counters to what happened in between, series by series.

A sum over series is never differenced: one series that goes away would look like a restart of them all. The only sums
kept are those of one process whose series are too many to carry (`fitted`), and those never count a decrease.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from workflows.analysis.batches import Unit
from workflows.model.shapes import Message
from workflows.model.target import Slot

LARGEST = float(2**63)
"""Above this a counter is nonsense, and sums of such could leave the finite numbers."""

FORGET_SECONDS = 900.0
"""A process that has not answered for so long is new when it comes back."""

ALL = "*"
"""The series that stands for all of a channel in a state that had to be made smaller."""


class RawUnit(Message):
    """The last raw counters of one process about one slot."""

    at: float
    slot: Slot
    counters: dict[str, dict[str, dict[str, float]]] = {}


Raw = dict[str, RawUnit]
"""By unit id."""


UNUSABLE = -1.0
"""Stands for a series that was seen with a value that is no count; its next value is where it starts."""

SERIES_LIMIT = 20_000
"""Series of one process of which the vanished ones are remembered."""


@dataclass(slots=True)
class Increase:
    """What one process counted between two answers."""

    counters: dict[str, dict[str, float]] = field(default_factory=dict)
    """By metric and channel."""
    broken: set[str] = field(default_factory=set)
    """Metrics some of whose values were no counts: a part of them would be a lie about the whole."""
    dropped: int = 0
    """How many values that were."""


def is_count(value: float) -> bool:
    """Whether a value can be a cumulative counter: finite, not negative, and of a size that sums stay finite."""
    return 0 <= value <= LARGEST


def increase(previous: RawUnit | None, unit: Unit) -> Increase:
    """What a process counted since `previous`.

    A first-seen process adds nothing; a first-seen series of a known process adds nothing
    unless the answers are complete, because then it was born since. A value below its last one means a restart, after
    which the value itself is the increase. A vanished series adds nothing.
    """
    result = Increase()
    for metric, channels in unit.counters.items():
        known = previous.counters.get(metric, {}) if previous else {}
        dropped = result.dropped
        result.counters[metric] = {
            channel: _channel_increase(
                known.get(channel, {}), series, unit=unit, is_known=previous is not None, result=result
            )
            for channel, series in channels.items()
        }
        if result.dropped > dropped:
            result.broken.add(metric)
    return result


def _channel_increase(
    known: Mapping[str, float], series: Mapping[str, float], *, unit: Unit, is_known: bool, result: Increase
) -> float:
    counts = {name: value for name, value in series.items() if is_count(value)}
    result.dropped += len(series) - len(counts)
    if ALL in known and ALL not in counts:
        return max(0.0, min(sum(counts.values()), LARGEST) - known[ALL])
    is_born = is_known and unit.is_complete
    return sum(_series_increase(known.get(name), value, is_born=is_born) for name, value in counts.items())


def _series_increase(before: float | None, value: float, *, is_born: bool) -> float:
    if before is None:
        return value if is_born else 0.0
    if before == UNUSABLE:
        return 0.0
    return value - before if value >= before else value


def starting_from_zero(unit: Unit, *, since: float) -> RawUnit | None:
    """A previous state of zeros for a process that started after `since`, so that all it counted is an increase."""
    if unit.started is None or unit.started <= since or not math.isfinite(unit.started):
        return None
    zeros = {
        metric: {channel: dict.fromkeys(series, 0.0) for channel, series in channels.items()}
        for metric, channels in unit.counters.items()
    }
    return RawUnit(at=since, slot=unit.slot, counters=zeros)


def known_before(unit: Unit, *, at: float) -> RawUnit:
    """The state that a unit brings with it."""
    return RawUnit.model_construct(at=at, slot=unit.slot, counters=_last({}, unit.before or {}))


def remembered(raw: Raw, units: Iterable[Unit], *, at: float) -> Raw:
    """The raw counters to difference the next answers against; processes silent for long are forgotten.

    A series that is missing in one answer keeps its last value: when it comes back it must not count from zero again.
    """
    kept = {name: unit for name, unit in raw.items() if at - unit.at <= FORGET_SECONDS}
    for unit in units:
        before = raw[unit.id].counters if unit.id in raw else {}
        kept[unit.id] = RawUnit(at=at, slot=unit.slot, counters=_last(before, unit.counters))
    return kept


Counters = Mapping[str, Mapping[str, Mapping[str, float]]]


def _last(before: Counters, now: Counters) -> dict[str, dict[str, dict[str, float]]]:
    count = sum(len(series) for channels in before.values() for series in channels.values())
    old = before if count <= SERIES_LIMIT else {}
    return {
        metric: {
            channel: _last_values(old.get(metric, {}).get(channel, {}), now.get(metric, {}).get(channel, {}))
            for channel in {**old.get(metric, {}), **now.get(metric, {})}
        }
        for metric in {**old, **now}
    }


def _last_values(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    kept = {name: value for name, value in before.items() if name != ALL}
    for name, value in now.items():
        if is_count(value):
            kept[name] = value
        else:
            kept.setdefault(name, UNUSABLE)
    return kept


def fitted(raw: Raw, *, limit: int) -> Raw:
    """The raw counters within `limit` bytes of JSON: whole, else summed per process, else without the largest ones.

    From sums only growth is counted afterwards, so a restart in just that moment is missed, never invented.
    """
    if _size(raw) <= limit:
        return raw
    small = {name: _collapsed(unit) for name, unit in raw.items()}
    while small and _size(small) > limit:
        small.pop(max(small, key=lambda name: (len(small[name].model_dump_json()), name)))
    return small


def _collapsed(unit: RawUnit) -> RawUnit:
    sums = {
        metric: {
            channel: {ALL: min(sum(value for value in series.values() if value > 0), LARGEST)}
            for channel, series in channels.items()
        }
        for metric, channels in unit.counters.items()
    }
    return unit.model_copy(update={"counters": sums})


def _size(raw: Raw) -> int:
    return len(json.dumps({name: [unit.at, unit.slot, unit.counters] for name, unit in raw.items()}))
