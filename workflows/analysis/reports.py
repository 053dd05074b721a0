"""What a rule's state means to people, and what it means for the stage."""

from __future__ import annotations

from typing import Any, Literal

from workflows.analysis import reasons
from workflows.analysis.counting import Counted, tolerated
from workflows.analysis.rules import RuleState, number, rule_of
from workflows.analysis.samples import sample
from workflows.analysis.ticks import Tick
from workflows.analysis.wording import amount, duration, scaled, unit_of
from workflows.model.analysis import Metric, Rule
from workflows.model.decision import Decision, MetricReport

State = Literal["ok", "alert", "failed", "insufficient", "noData", "inconclusive"]


def decision(metric: Metric, state: RuleState, counted: Counted, tick: Tick) -> Decision:
    """The rule's own verdict; `pass` needs a sample in this stage, the preset's success, or mere advice."""
    rule = rule_of(metric)
    if counted.verdict:
        return Decision(verdict=counted.verdict, reason=counted.reason, message=_why(metric, state, counted.reason))
    if rule.is_advice or state.tally.is_done or (state.sampled_stage == tick.stage and not rule.ends_by_itself):
        return Decision(verdict="pass")
    if state.is_blind:
        message = (
            f"{metric.name}: most requests are slower than the histogram's highest bucket, and the limit is beyond it"
        )
        return Decision(verdict="continue", reason=reasons.UNUSABLE_BUCKETS, message=message)
    reason = reasons.TOO_FEW_SAMPLES if state.sampled_stage == tick.stage else reasons.AWAITING_SAMPLE
    return Decision(verdict="continue", reason=reason, message=f"{metric.name}: {_progress(rule, state)}")


def report(metric: Metric, state: RuleState) -> MetricReport:
    """The metric as it stands: its last sample, or what the open interval shows while there is none."""
    rule, unit = rule_of(metric), unit_of(metric)
    value, baseline = _shown(metric, state)
    return MetricReport(
        name=metric.name,
        value=scaled(value, unit),
        baseline=scaled(baseline, unit),
        unit=unit,
        limit=None if rule.is_advice else scaled(number(rule.limit), unit),
        alert=None if rule.alert is None else scaled(number(rule.alert), unit),
        state=_state(rule, state, value),
        failures=state.tally.failed + state.tally.missing,
        failure_limit=tolerated(rule),
        sentence=_sentence(metric, state, value),
    )


def _shown(metric: Metric, state: RuleState) -> tuple[float | None, float | None]:
    if state.last_value is not None:
        return state.last_value, state.last_baseline
    return sample(metric, state.new), sample(metric, state.old)


def _state(rule: Rule[Any], state: RuleState, value: float | None) -> State:
    if state.verdict == "rollback" or state.last_outcome == "bad":
        return "failed"
    if value is None:
        return "noData" if state.last_outcome in {"empty", "error"} else "insufficient"
    if state.last_outcome == "between":
        return "inconclusive"
    return "alert" if rule.alert is not None and rule.is_beyond(value, number(rule.alert)) else "ok"


def _sentence(metric: Metric, state: RuleState, value: float | None) -> str:
    rule, unit = rule_of(metric), unit_of(metric)
    limit = f"{'advice' if rule.is_advice else 'limit'} {amount(number(rule.limit), unit)}"
    if value is None:
        return f"no value yet, {limit}"
    failed = state.tally.failed + state.tally.missing
    counted = f"; {failed} failed, {tolerated(rule)} tolerated" if failed or tolerated(rule) else ""
    return f"{amount(value, unit)}, {limit}{counted}"


def _progress(rule: Rule[Any], state: RuleState) -> str:
    if rule.count is not None:
        return f"{state.tally.measured} of {rule.count} samples"
    if rule.consecutive_success_limit is not None:
        return f"{state.tally.good} of {rule.consecutive_success_limit} good samples in a row"
    return f"no sample in this stage yet; one is taken every {duration(rule.interval.total_seconds())}"


def _why(metric: Metric, state: RuleState, reason: str) -> str:
    rule, unit = rule_of(metric), unit_of(metric)
    shown = "the last sample" if state.last_value is None else amount(state.last_value, unit)
    if reason == reasons.RULE_FAILED:
        limit = amount(number(rule.limit), unit)
        return f"{metric.name}: {shown} against a limit of {limit} ({_count(rule, state)})"
    if reason == reasons.INCONCLUSIVE:
        return f"{metric.name}: {shown} is neither success nor failure"
    if reason == reasons.PROVIDER_ERRORS:
        return f"{metric.name}: its source did not answer several times in a row"
    return f"{metric.name}: no check had a value"


def _count(rule: Rule[Any], state: RuleState) -> str:
    failed = state.tally.failed + state.tally.missing
    return f"{failed} failed sample{'s' * (failed != 1)}, {tolerated(rule)} tolerated"
