"""How an observation went, step by step: a picture for people, of bounded size. Nothing is decided on it.

The steps begin as long as a tick. When there are too many, each two become one, so a timeline covers any time in the
same few hundred bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import zip_longest
from operator import add
from typing import Any, NamedTuple, TypeVar

from workflows.analysis.counters import LARGEST
from workflows.analysis.evidence.bets import Pair
from workflows.analysis.evidence.composite import Part
from workflows.analysis.evidence.edges import failed, slower_than
from workflows.analysis.evidence.mixture import logarithm
from workflows.analysis.evidence.spans import ANCIENT
from workflows.analysis.samples import sample
from workflows.analysis.ticks import Tick
from workflows.model.analysis import Analysis, Metric, RatioMetric
from workflows.model.decision import Line, MetricReport, Timeline

FEWEST, MOST = 8, 40
"""Steps of a timeline: the more there is to remember of the metrics, the fewer."""

_STEP_BYTES = 24
"""What a step of one metric takes, about."""

_DIGITS = 2
"""Of evidence: more than a picture can show."""

Column = tuple[Any, ...]
T = TypeVar("T", Line, Timeline)


_SHOWN = 4
"""Of a sample."""


class Seen(NamedTuple):
    """What one tick adds to a metric's line; None adds nothing."""

    log_e: float | None = None
    pair: Pair | None = None
    value: float | None = None
    baseline: float | None = None

    @property
    def numbers(self) -> dict[str, float | None]:
        """By column."""
        pair = self.pair or (None,) * len(_COUNTS)
        counts = dict(
            zip(_COUNTS, [None if count is None else round(min(count, LARGEST)) for count in pair], strict=True)
        )
        return {
            "log_e": _rounded(self.log_e),
            **counts,
            "value": _short(self.value),
            "baseline": _short(self.baseline),
        }


def seen(metric: Metric, part: Part | None, tick: Tick, rule: MetricReport | None) -> Seen:
    """What a tick says of a metric: counts where there are any, else the sample that its rule looks at, or its own."""
    log_e, pair = logarithm(part.evidence) if part else None, _pair(metric, part, tick)
    if pair or part:
        return Seen(log_e, pair)
    if rule:
        return Seen(value=rule.value, baseline=rule.baseline)
    return Seen(value=sample(metric, tick.new), baseline=sample(metric, tick.old))


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_SHOWN}g}")


def _pair(metric: Metric, part: Part | None, tick: Tick) -> Pair | None:
    if isinstance(metric, RatioMetric):
        return failed(tick.new, tick.old)
    edge = _edge(part) if part else None
    return None if edge is None else slower_than(edge, tick.new, tick.old)


def _edge(part: Part) -> float | None:
    """The one edge of latency that a line is about; None until it is chosen."""
    if part.compare:
        return float(part.compare.main) if part.compare.channels else None
    return part.slo.edge if part.slo else None


_COUNTS = ("bad", "total", "baseline_bad", "baseline_total")


class _Kind(NamedTuple):
    """How two numbers of a column become one, and what stands where there is none."""

    empty: int | None
    merge: Callable[[Any, Any], Any]

    def put(self, column: Column, index: int, number: float | None) -> Column:
        """The column with a number more in its last step; one that never had a number stays away."""
        if number is None and not column:
            return column
        grown = column + (self.empty,) * (index + 1 - len(column))
        return (*grown[:-1], self._joined(grown[-1], number))

    def halved(self, column: Column) -> Column:
        """Each two steps as one."""
        return tuple([self._joined(*two) for two in zip_longest(column[::2], column[1::2])])

    def _joined(self, one: Any, other: Any) -> Any:
        if one is None or other is None:
            return one if other is None else other
        return self.merge(one, other)


_LATEST = _Kind(None, lambda _, later: later)
_KINDS = {"log_e": _Kind(None, max), **dict.fromkeys(_COUNTS, _Kind(0, add)), "value": _LATEST, "baseline": _LATEST}


def steps_of(analysis: Analysis, room: int) -> int:
    """How many steps fit into what the metrics leave of so many bytes."""
    left = room - analysis.size
    return max(FEWEST, min(MOST, left // (_STEP_BYTES * len(analysis.metrics))))


def begun(timeline: Timeline, at: float, *, tick: float, steps: int) -> Timeline:
    """The timeline with a place for a tick that ends at `at`, and no more than `steps` steps."""
    if not timeline.step:
        return Timeline(since=at, step=tick, count=1)
    while (index := _index(timeline, at)) >= steps:
        timeline = _halved(timeline)
    return timeline.model_copy(update={"count": max(timeline.count, index + 1)})


def noted(timeline: Timeline, log_e: float | None, seen: Mapping[str, Seen]) -> Timeline:
    """The timeline with what a tick said in its last step."""
    index = timeline.count - 1
    lines = {name: _put(timeline.lines.get(name, Line()), index, each.numbers) for name, each in seen.items()}
    return _put(timeline, index, {"log_e": _rounded(log_e)}).model_copy(update={"lines": {**timeline.lines, **lines}})


def _index(timeline: Timeline, at: float) -> int:
    """The step of a tick that ends at `at`; a clock that goes back adds to the first."""
    passed = min(max(at - timeline.since, 0.0), ANCIENT)
    return max(0, math.ceil(passed / timeline.step - 1e-9) - 1)


def _put(item: T, index: int, numbers: Mapping[str, float | None]) -> T:
    columns = {name: _KINDS[name].put(getattr(item, name), index, number) for name, number in numbers.items()}
    return item.model_copy(update=columns)


def _halved(timeline: Timeline) -> Timeline:
    lines = {name: _half(line, _KINDS) for name, line in timeline.lines.items()}
    update = {"step": timeline.step * 2, "count": (timeline.count + 1) // 2, "lines": lines}
    return _half(timeline, ("log_e",)).model_copy(update=update)


def _half(item: T, names: Any) -> T:
    return item.model_copy(update={name: _KINDS[name].halved(getattr(item, name)) for name in names})


def _rounded(log_e: float | None) -> float | None:
    return None if log_e is None else round(log_e, _DIGITS)
