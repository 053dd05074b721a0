"""The evidence modes as evaluators, for the seam in `analysis.evaluators`.

An evaluator says whether its metric lets a stage pass, and asks people when it cannot see. Evidence rolls back over all
metrics at once, in `composite`; what is decided here on the new version alone is a rule.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from workflows.analysis import reasons
from workflows.analysis.evidence import comparison, objective
from workflows.analysis.evidence.composite import COMPARE, SLO
from workflows.analysis.evidence.course import Course
from workflows.analysis.evidence.edges import HISTORY
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.evidence.restoring import data_of, state_of
from workflows.analysis.evidence.wording import share, what_of
from workflows.analysis.ticks import Evaluation, Tick
from workflows.analysis.wording import amount, duration
from workflows.model.analysis import Metric
from workflows.model.decision import Decision

C = TypeVar("C", bound=Course)


def judging(parameters: Parameters) -> dict[str, partial[Evaluation]]:
    """The evaluators of a release by the metric's field."""
    return {COMPARE: partial(judge_comparison, parameters), SLO: partial(judge_objective, parameters)}


def judge_comparison(parameters: Parameters, metric: Metric, state: dict[str, Any], tick: Tick) -> Evaluation:
    """One tick of `compare`."""
    after = comparison.advance(parameters, metric, state_of(comparison.CompareState, state), tick)
    decision = _worse_than_recorded(parameters, metric, after) or _decision(parameters, metric, after, tick)
    return Evaluation(data_of(_rearmed(after, decision)), None, decision)


def _worse_than_recorded(parameters: Parameters, metric: Metric, state: comparison.CompareState) -> Decision | None:
    """The rule that stands in for a comparison where nothing serves beside the new version."""
    alone, recorded = state.alone, state.shown
    if not alone.is_certain or alone.evidence < 1 / parameters.alpha:
        return None
    now = f"{amount(alone.bad / alone.total, '%')} {what_of(state.main)} with all users"
    before = f"{amount(share(recorded.old_bad, recorded.old_total) or 0.0, '%')} of the old version before"
    message = f"{metric.name}: {now}, {before} (a rule: nothing serves beside it to compare with)"
    return Decision(verdict="rollback", reason=reasons.WORSE_THAN_BEFORE, message=message)


def judge_objective(parameters: Parameters, metric: Metric, state: dict[str, Any], tick: Tick) -> Evaluation:
    """One tick of `slo`."""
    after = objective.advance(parameters, metric, state_of(objective.SloState, state), tick)
    decision = _decision(parameters, metric, after, tick)
    if after.incident > parameters.no_data_timeout:
        limit = amount(objective.max_share(metric), "%")
        message = f"{metric.name}: the old version itself has been beyond {limit} for {duration(after.incident)}"
        decision = Decision(verdict="hold", reason=reasons.INCIDENT, message=message)
        after = after.model_copy(update={"incident": 0.0})
    return Evaluation(data_of(_rearmed(after, decision)), None, decision)


def _decision(parameters: Parameters, metric: Metric, state: Course, tick: Tick) -> Decision:
    problem = _blindness(parameters, metric, state, tick)
    if problem is not None:
        return problem if metric.is_needed else Decision(verdict="pass")
    if state.stage != tick.stage:
        message = f"{metric.name}: no request of the new version was judged in this stage yet"
        return Decision(verdict="continue", reason=reasons.AWAITING_SAMPLE, message=message)
    if isinstance(state, comparison.CompareState) and metric.kind == "histogram" and not state.channels:
        message = (
            f"{metric.name}: the old version has served {state.history.total:,.0f} of {HISTORY} requests that say "
        )
        return Decision(verdict="continue", reason=reasons.AWAITING_SAMPLE, message=f"{message}what is usual")
    return Decision(verdict="pass")


def _blindness(parameters: Parameters, metric: Metric, state: Course, tick: Tick) -> Decision | None:
    if state.held.seconds > parameters.no_data_timeout and tick.baseline_error:
        message = (
            f"{metric.name}: no data of the old version for {duration(state.held.seconds)} ({tick.baseline_error})"
        )
        return Decision(verdict="hold", reason=reasons.PROVIDER_ERRORS, message=message)
    if state.unusable > parameters.no_data_timeout:
        message = f"{metric.name}: the histogram has no edges that tell fast from slow"
        return Decision(verdict="hold", reason=reasons.UNUSABLE_EDGES, message=message)
    return None


def _rearmed(state: C, decision: Decision) -> C:
    """After a hold people decide; the time that led to it counts anew. Evidence is never reset."""
    if decision.verdict != "hold":
        return state
    held = state.held.model_copy(update={"seconds": 0.0})
    return state.model_copy(update={"held": held, "unusable": 0.0})
