"""The evidence modes as evaluators, for the seam in `analysis.evaluators`.

An evaluator says whether its metric lets a stage pass, and asks people when it cannot see. It never rolls back: that is
decided over all metrics at once, in `composite`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, TypeVar

from workflows.analysis import reasons
from workflows.analysis.evidence import comparison, objective
from workflows.analysis.evidence.bets import Pair
from workflows.analysis.evidence.composite import COMPARE, SLO
from workflows.analysis.evidence.course import Course
from workflows.analysis.evidence.edges import HISTORY
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.evidence.restoring import data_of, state_of
from workflows.analysis.evidence.wording import compared, counted, share
from workflows.analysis.ticks import Evaluation, Tick
from workflows.analysis.wording import amount, duration, scaled
from workflows.model.analysis import Metric
from workflows.model.decision import Decision, MetricReport

C = TypeVar("C", bound=Course)

State = Literal["ok", "alert", "insufficient", "noData"]


def judging(parameters: Parameters) -> dict[str, partial[Evaluation]]:
    """The evaluators of a release by the metric's field."""
    return {COMPARE: partial(judge_comparison, parameters), SLO: partial(judge_objective, parameters)}


def judge_comparison(parameters: Parameters, metric: Metric, state: dict[str, Any], tick: Tick) -> Evaluation:
    """One tick of `compare`."""
    after = comparison.advance(parameters, metric, state_of(comparison.CompareState, state), tick)
    decision = _decision(parameters, metric, after, tick)
    return Evaluation(data_of(_rearmed(after, decision)), _compare_report(parameters, metric, after), decision)


def judge_objective(parameters: Parameters, metric: Metric, state: dict[str, Any], tick: Tick) -> Evaluation:
    """One tick of `slo`."""
    after = objective.advance(parameters, metric, state_of(objective.SloState, state), tick)
    decision = _decision(parameters, metric, after, tick)
    if after.incident > parameters.no_data_timeout:
        limit = amount(objective.max_share(metric), "%")
        message = f"{metric.name}: the old version itself has been beyond {limit} for {duration(after.incident)}"
        decision = Decision(verdict="hold", reason=reasons.INCIDENT, message=message)
        after = after.model_copy(update={"incident": 0.0})
    return Evaluation(data_of(_rearmed(after, decision)), _slo_report(parameters, metric, after), decision)


def _decision(parameters: Parameters, metric: Metric, state: Course, tick: Tick) -> Decision:
    problem = _blindness(parameters, metric, state, tick)
    if problem is not None:
        return problem if metric.required else Decision(verdict="pass")
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


def _compare_report(parameters: Parameters, metric: Metric, state: comparison.CompareState) -> MetricReport:
    pair = state.channels.get(state.main, comparison.Channel()).pair
    what = "failed" if state.main == comparison.ERRORS else f"took longer than {amount(float(state.main), 's')}"
    return _report(metric, pair).model_copy(
        update={"state": _state(parameters, state), "sentence": compared(pair, what)}
    )


def _slo_report(parameters: Parameters, metric: Metric, state: objective.SloState) -> MetricReport:
    limit, pair = objective.max_share(metric), state.pair
    return _report(metric, pair).model_copy(
        update={
            "limit": limit * 100,
            "state": _state(parameters, state),
            "sentence": f"{counted(pair.new_bad, pair.new_total)}, limit {amount(limit, '%')}",
        }
    )


def _report(metric: Metric, pair: Pair) -> MetricReport:
    return MetricReport(
        name=metric.name,
        value=scaled(share(pair.new_bad, pair.new_total), "%"),
        baseline=scaled(share(pair.old_bad, pair.old_total), "%"),
        unit="%",
    )


def _state(parameters: Parameters, state: Course) -> State:
    if state.stage < 0:
        return "noData"
    if not state.used:
        return "insufficient"
    return "alert" if state.evidence >= parameters.leaning else "ok"
