"""`slo`: evidence that the new version fails more often than an absolute limit allows (analysis specification 1.5).

A stage that passes has shown no evidence against the new version; that is not proof of being below the limit.
"""

from __future__ import annotations

from typing import Any

from workflows.analysis.evidence.bets import Pair, limited
from workflows.analysis.evidence.course import Course
from workflows.analysis.evidence.edges import edge_at, failed, slower_than
from workflows.analysis.evidence.limits import WINDOW, is_incident, limit_of
from workflows.analysis.evidence.mixture import Mixture, advanced, evidence
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.evidence.spans import ANCIENT, Span, covered, trimmed
from workflows.analysis.ticks import Tick
from workflows.model.analysis import HistogramMetric, Metric, RatioMetric


class SloState(Course):
    """What the absolute mode remembers between ticks, workers and segments."""

    window: tuple[tuple[float, float], ...] = ()
    """The old version's failed and all requests in the latest ticks."""
    mixture: Mixture = Mixture()
    counted: tuple[float, ...] = ()
    """Both versions' counts in all ticks that were used."""
    edge: float | None = None
    """Of a histogram: the edge that stood for the limit in the last tick."""
    incidents: int = 0
    """Ticks that were skipped because a failure began in both versions."""
    incident: float = 0.0
    """Seconds for which the old version itself has been beyond the limit by more than chance."""

    @property
    def pair(self) -> Pair:
        """The counts with their names."""
        return Pair(*self.counted) if len(self.counted) == len(Pair()) else Pair()


def max_share(metric: Metric) -> float:
    """The share of bad requests that the new version may reach."""
    match metric:
        case RatioMetric(slo=objective) if objective:
            return objective.max
        case HistogramMetric(slo=duration) if duration:
            return 1.0 - duration.quantile
    msg = f"metric {metric.name} has no slo"
    raise ValueError(msg)


def advance(parameters: Parameters, metric: Metric, state: SloState, tick: Tick) -> SloState:
    """One tick further."""
    held, span = covered(state.held, tick)
    if span is None and state.edge is not None:
        held = trimmed(held, (state.edge,))
    if held is not state.held:
        state = state.model_copy(update={"held": held})
    if span is None:
        return state
    if span.new.total <= 0 and span.old.total <= 0:
        return state.idle(span)
    if span.new.total > 0 and state.stage != tick.stage:
        state = state.model_copy(update={"stage": tick.stage})
    edge, pair = _pair(metric, span)
    if pair is None:
        return state.unused(span)
    if not pair.is_possible:
        return state.model_copy(update={"dropped": state.dropped + 1})
    if edge != state.edge:
        state = state.model_copy(update={"edge": edge})
    return _judged(parameters, max_share(metric), state, span, pair)


def _judged(parameters: Parameters, maximum: float, state: SloState, span: Span, pair: Pair) -> SloState:
    before = limit_of(maximum, state.window)
    window = (*state.window, (pair.old_bad, pair.old_total))[-WINDOW:]
    is_out = is_incident(sum([bad for bad, _ in window]), sum([total for _, total in window]), maximum)
    incident = min(state.incident + span.seconds, ANCIENT) if is_out else 0.0
    update: dict[str, Any] = {"window": window, "incident": incident, "unusable": 0.0}
    if span.is_mixed:
        return state.skipping("gap", **update)
    if is_incident(pair.old_bad, pair.old_total, before):
        return state.skipping("incident", **update, incidents=state.incidents + 1)
    trial = limited(pair, limit_of(maximum, window))
    if trial is None:
        return state.idle(span, **update)
    form = parameters.limiting
    mixture = advanced(form, state.mixture, trial, starting=state.start.share(form))
    start = state.start.after(form)
    update |= {
        "mixture": mixture,
        "start": start,
        "counted": tuple(state.pair.plus(pair)),
        "used": state.used + 1,
        "evidence": evidence(form, mixture, idle=start.idle),
    }
    return state.model_copy(update=update)


def _pair(metric: Metric, span: Span) -> tuple[float | None, Pair | None]:
    if isinstance(metric, HistogramMetric) and metric.slo:
        edge = edge_at(metric.slo.max.total_seconds(), span.new, span.old)
        return edge, None if edge is None else slower_than(edge, span.new, span.old)
    return None, failed(span.new, span.old)
