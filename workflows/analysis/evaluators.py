"""The seam: what decides on a metric, by the field of the document that asks for it.

Rules decide on their own. Evidence (`slo`, `compare`) says here only whether its metric lets a stage pass; what it says
against the new version is weighed over all metrics, in `evidence.weighing`. What `canary` finds becomes one score over
all metrics, in `kayenta.judging`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from workflows.analysis import reports
from workflows.analysis.evidence.judging import judging
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.kayenta.judging import judge_canary
from workflows.analysis.kayenta.sampling import CANARY
from workflows.analysis.rules import advance, read_state
from workflows.analysis.ticks import Evaluation, Tick
from workflows.model.analysis import Analysis, Metric


class Evaluator(Protocol):
    """A pure function that judges one tick of one metric with its own small JSON state.

    The decision is `rollback`, `hold`, `pass` (the stage may pass as far as this metric goes) or `continue`. A tick
    marked as a gap may lead to `rollback` but adds nothing that helps a stage to pass. States survive workers and
    versions: an evaluator reads what an older one wrote, and starts afresh from an empty one.
    """

    def __call__(self, metric: Metric, state: dict[str, Any], tick: Tick) -> Evaluation: ...


def evaluate_rule(metric: Metric, state: dict[str, Any], tick: Tick) -> Evaluation:
    """Thresholds, counted as their preset counts."""
    after, counted = advance(metric, read_state(state), tick)
    if counted.verdict == "rollback":
        after = after.model_copy(update={"verdict": "rollback"})
    return Evaluation(
        after.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        reports.report(metric, after),
        reports.decision(metric, after, counted, tick),
    )


RULE = "rule"


def evaluators(metric: Metric, analysis: Analysis, parameters: Parameters) -> dict[str, Evaluator]:
    """Those that this metric asks for, by its fields."""
    canary = partial(judge_canary, analysis.scoring)
    every: dict[str, Evaluator] = {RULE: evaluate_rule, CANARY: canary, **judging(parameters)}
    return {mode: judge for mode, judge in every.items() if getattr(metric, mode, None) is not None}
