"""`compare`: evidence that the new version fails, or is slow, more often than the old one beside it.

Shares are compared, not rates: if the release changes nothing, the new version's share of the errors of a tick is its
share of the tick's requests, whatever the error rate does (analysis specification 1.1, 1.7).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from workflows.analysis.evidence.bets import Pair, compared, corrected
from workflows.analysis.evidence.course import Course
from workflows.analysis.evidence.edges import FEWEST, HISTORY, Edges, failed, slower_than, usable_edges
from workflows.analysis.evidence.intervals import offsets_after
from workflows.analysis.evidence.mixture import Form, Mixture, advanced, evidence
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.evidence.recorded import Alone, recorded_limit
from workflows.analysis.evidence.recorded import advance as advance_alone
from workflows.analysis.evidence.spans import Span, covered, trimmed
from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Tick
from workflows.model.analysis import HistogramMetric, Metric
from workflows.model.shapes import Message

ERRORS = "errors"
"""The only channel of a ratio; those of a histogram are its edges."""

HIGHEST_PROMOTING_SHARE = 0.2
"""The bets of early promotion were checked up to this share of the old version."""


NOTHING = Pair()


class Channel(Message):
    """One kind of error: failed requests, or those slower than one edge."""

    counted: tuple[float, ...] = ()
    """Both versions' counts in all ticks that were used."""
    mixture: Mixture = Mixture()
    """Bets that the new version is worse."""
    promoting: Mixture = Mixture()
    """Bets that it is far better than what would be too bad."""

    @property
    def pair(self) -> Pair:
        """The counts with their names."""
        return Pair(*self.counted) if len(self.counted) == len(NOTHING) else NOTHING


UNKNOWN = Channel()


class CompareState(Course):
    """What the comparing mode remembers between ticks, workers and segments."""

    channels: dict[str, Channel] = {}
    main: str = ERRORS
    """The channel that is shown."""
    offsets: tuple[float, ...] = ()
    """For the interval of the shown channel's ratio."""
    history: Counts = Counts()
    """Of a histogram, what the old version did until edges were chosen; empty afterwards."""
    alone: Alone = Alone()
    """What the new version did since the old one last served."""

    @property
    def shown(self) -> Pair:
        """The counts of the channel that is shown, while both versions served."""
        return self.channels.get(self.main, UNKNOWN).pair

    def promoting(self, parameters: Parameters) -> float:
        """The evidence that the new version is well below `pass_ratio`, in the channel where it is weakest."""
        form, idle = parameters.promoting, self.start.idle
        channels = [channel for channel in self.channels.values() if _promotes(channel)]
        return min((evidence(form, each.promoting, idle=idle) for each in channels), default=1.0)


def advance(parameters: Parameters, metric: Metric, state: CompareState, tick: Tick) -> CompareState:
    """One tick further."""
    held, span = covered(state.held, tick)
    if span is None:
        held = trimmed(held, map(float, state.channels)) if state.main != ERRORS else held
        return state.model_copy(update={"held": held})
    if held is not state.held:
        state = state.model_copy(update={"held": held})
    is_learning = _is_learning(state)
    if isinstance(metric, HistogramMetric) and not state.channels:
        state = _with_edges(metric, state, span)
    if span.new.total > 0 and state.stage != tick.stage:
        state = state.model_copy(update={"stage": tick.stage})
    if span.old.total > 0 and state.alone.total:
        state = state.model_copy(update={"alone": Alone()})
    if span.new.total <= 0:
        return state.idle(span)
    if span.old.total <= 0:
        return _alone(parameters, metric, state, span).skipping("alone")
    pairs = _pairs(metric, state, span)
    if not pairs:
        return state.skipping("learning") if is_learning else state.unused(span)
    return _judged(parameters, metric, state, span, pairs)


def _judged(
    parameters: Parameters, metric: Metric, state: CompareState, span: Span, pairs: dict[str, Pair]
) -> CompareState:
    if not all(pair.is_possible for pair in pairs.values()):
        return state.model_copy(update={"dropped": state.dropped + 1})
    if span.is_mixed:
        return state.skipping("gap")
    form = parameters.comparing(metric)
    is_rare = not isinstance(metric, HistogramMetric)
    table = _Table(parameters, form, max_ratio(metric), state.start.share(form), span.is_gap, is_rare)
    channels = {
        name: _bet(table, state.channels.get(name, UNKNOWN), pairs.get(name, NOTHING))
        for name in state.channels or pairs
    }
    start = state.start.after(form)
    found = [evidence(form, channel.mixture, idle=start.idle) for channel in channels.values()]
    update: dict[str, Any] = {
        "channels": channels,
        "start": start,
        "used": state.used + 1,
        "unusable": 0.0,
        "evidence": sum(each / len(found) for each in found),
    }
    if state.main in pairs:
        update["offsets"] = offsets_after(state.offsets, pairs[state.main])
    return state.model_copy(update=update)


def _alone(parameters: Parameters, metric: Metric, state: CompareState, span: Span) -> CompareState:
    """A tick in which only the new version served."""
    pair, recorded = _pairs(metric, state, span).get(state.main), state.shown
    if pair is None or not pair.is_possible or not recorded.old_total:
        return state
    limit = recorded_limit(recorded, max_ratio(metric), parameters.alpha)
    return state.model_copy(update={"alone": advance_alone(parameters.limiting, state.alone, pair, limit)})


class _Table(NamedTuple):
    """What every channel's bet of one tick has in common."""

    parameters: Parameters
    form: Form
    max_ratio: float
    starting: float
    is_gap: bool
    is_rare: bool
    """Errors are rare; being slower than an edge is not."""


def _bet(table: _Table, channel: Channel, pair: Pair) -> Channel:
    """One tick of one channel; what was counted while nobody looked never helps to promote."""
    ratio = table.max_ratio if table.is_rare else corrected(pair, table.max_ratio)
    trial = compared(pair, ratio) if ratio else None
    hopeful = None if table.is_gap else compared(pair, table.parameters.pass_ratio)
    return Channel(
        counted=tuple(channel.pair.plus(pair)),
        mixture=advanced(table.form, channel.mixture, trial, starting=table.starting),
        promoting=advanced(table.parameters.promoting, channel.promoting, hopeful, starting=table.starting),
    )


def max_ratio(metric: Metric) -> float:
    """How many times as often as the old version the new one may fail."""
    comparison = getattr(metric, "compare", None)
    if comparison is None:
        msg = f"metric {metric.name} has no compare"
        raise ValueError(msg)
    return float(comparison.max_ratio)


def _with_edges(metric: HistogramMetric, state: CompareState, span: Span) -> CompareState:
    """Edges from the ticks before this one, as soon as they suffice; until then this tick is history for the next."""
    edges = usable_edges(state.history, metric.quantile) if span.new.total > 0 else Edges()
    if len(edges.all) < FEWEST:
        return state.model_copy(update={"history": state.history.plus(span.old)})
    channels = {str(edge): Channel() for edge in edges.all}
    return state.model_copy(update={"channels": channels, "main": str(edges.main), "history": Counts()})


def _is_learning(state: CompareState) -> bool:
    return state.history.total < HISTORY and not state.channels


def _pairs(metric: Metric, state: CompareState, span: Span) -> dict[str, Pair]:
    if not isinstance(metric, HistogramMetric):
        return {ERRORS: failed(span.new, span.old)}
    found = {name: slower_than(float(name), span.new, span.old) for name in state.channels}
    pairs = {name: pair for name, pair in found.items() if pair is not None}
    return pairs if len(pairs) >= FEWEST else {}


def _promotes(channel: Channel) -> bool:
    pair = channel.pair
    return pair.old_total > 0 and pair.old_bad <= HIGHEST_PROMOTING_SHARE * pair.old_total
