"""Threshold rules: one sample per interval, judged against limits, counted as its preset counts.

These are rules, not evidence: no probability of a false alarm is claimed for them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from workflows.analysis import reasons
from workflows.analysis.counting import COUNTINGS, ERROR_RETRY_SECONDS, Counted, Outcome, Tally
from workflows.analysis.samples import Counts, sample
from workflows.analysis.ticks import Tick
from workflows.model.analysis import HistogramMetric, Metric, Rule
from workflows.model.shapes import Message


class RuleState(Message):
    """What a rule remembers between ticks, workers and segments."""

    delayed: float = 0
    """Seconds of `initialDelay` that are over."""
    waited: float = 0
    """Seconds since the last sample."""
    new: Counts = Counts()
    """Counted since the last sample."""
    old: Counts = Counts()
    tally: Tally = Tally()
    sampled_stage: int = -1
    """The stage in which a value was sampled last."""
    last_value: float | None = None
    last_baseline: float | None = None
    last_outcome: Outcome | None = None
    is_blind: bool = False
    """The last interval's quantile lay beyond the highest edge of the histogram, and the limit lies there too."""
    verdict: str = ""
    """`rollback` once the rule has failed; it never recovers."""


def rule_of(metric: Metric) -> Rule[Any]:
    """The metric's rule; only asked for where there is one."""
    if metric.rule is None:
        msg = f"metric {metric.name} has no rule"
        raise ValueError(msg)
    return metric.rule


def read_state(state: dict[str, Any]) -> RuleState:
    """A state as a worker or another version wrote it; one that cannot be read counts as none."""
    try:
        return RuleState.model_validate(state)
    except ValidationError:
        return RuleState()


def advance(metric: Metric, state: RuleState, tick: Tick) -> tuple[RuleState, Counted]:
    """One tick further: samples are taken when an interval ends, at once where the preset does so, and of every gap."""
    rule = rule_of(metric)
    if state.verdict == "rollback":
        return state, Counted(state.tally, "rollback", reasons.RULE_FAILED)
    if state.tally.is_done:
        return state, Counted(state.tally)
    delay = (rule.initial_delay or timedelta(0)).total_seconds()
    if state.delayed < delay and not tick.is_gap:
        return state.model_copy(update={"delayed": min(delay, state.delayed + tick.seconds)}), Counted(state.tally)
    state = state.model_copy(update={"waited": state.waited + tick.seconds})
    if tick.is_gap:
        return _judge_gap(metric, rule, state, tick)
    state = state.model_copy(update={"new": state.new.plus(tick.new), "old": state.old.plus(tick.old)})
    return _take(metric, rule, state, tick) if _is_due(rule, state, tick) else (state, Counted(state.tally))


def _judge_gap(metric: Metric, rule: Rule[Any], state: RuleState, tick: Tick) -> tuple[RuleState, Counted]:
    """A gap is one sample of its own; a good one is not counted, and the open interval stays as it is."""
    outcome = _outcome(metric, rule, tick.new, tick)
    if outcome != "bad":
        return state, Counted(state.tally)
    counted = COUNTINGS[rule.like](rule, state.tally, outcome)
    seen = {"last_value": sample(metric, tick.new), "last_baseline": sample(metric, tick.old), "last_outcome": outcome}
    return state.model_copy(update={"tally": counted.tally, **seen}), counted


def _is_due(rule: Rule[Any], state: RuleState, tick: Tick) -> bool:
    """Whether to sample now; half a tick of tolerance keeps an interval of n ticks from becoming n + 1."""
    interval = rule.interval.total_seconds()
    if rule.like == "argo":
        is_first = state.tally.measured == 0 and state.tally.errors == 0
        if is_first and (state.new.has_data or tick.error):
            return True
        if state.tally.errors:
            interval = min(interval, ERROR_RETRY_SECONDS)
    return state.waited + tick.seconds / 2 >= interval and state.waited > 0


def _take(metric: Metric, rule: Rule[Any], state: RuleState, tick: Tick) -> tuple[RuleState, Counted]:
    is_blind = not reaches(metric, rule, state.new)
    value = None if is_blind else sample(metric, state.new)
    outcome = _outcome(metric, rule, state.new, tick)
    if rule.like == "argo" and outcome == "empty":
        return state.model_copy(update={"is_blind": is_blind}), Counted(state.tally)
    counted = COUNTINGS[rule.like](rule, state.tally, outcome)
    update: dict[str, Any] = {
        "tally": counted.tally,
        "is_blind": is_blind,
        "waited": 0.0,
        "new": Counts(),
        "old": Counts(),
        "last_outcome": outcome,
        "last_value": value,
        "last_baseline": sample(metric, state.old),
    }
    if value is not None:
        update["sampled_stage"] = tick.stage
    return state.model_copy(update=update), counted


def _outcome(metric: Metric, rule: Rule[Any], counted: Counts, tick: Tick) -> Outcome:
    value = sample(metric, counted)
    if value is None:
        return "error" if tick.error else "empty"
    if rule.is_beyond(value, number(rule.limit)) and not rule.is_advice:
        return "bad"
    if rule.rollback is None:
        return "good"
    if not reaches(metric, rule, counted):
        return "empty"
    if rule.success is not None and rule.is_beyond(value, number(rule.success)):
        return "between"
    return "good"


def reaches(metric: Metric, rule: Rule[Any], counted: Counts) -> bool:
    """Whether the edges of a histogram tell the two sides of the limit apart for this quantile."""
    if not isinstance(metric, HistogramMetric) or not counted.buckets:
        return True
    highest = max(counted.buckets)
    value = sample(metric, counted)
    return value is None or value <= highest or number(rule.limit) <= highest


def number(limit: Any) -> float:
    """A limit as the samples are measured: shares as fractions, durations in seconds."""
    return limit.total_seconds() if isinstance(limit, timedelta) else float(limit)
