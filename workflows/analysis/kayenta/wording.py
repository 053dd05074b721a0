"""One metric under `judge: kayenta` as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workflows.analysis.evidence.findings import GRAVITY
from workflows.analysis.kayenta.sampling import CANARY, CanaryState, Samples, read_state
from workflows.analysis.wording import amount, scaled, unit_of
from workflows.model.analysis import Metric
from workflows.model.decision import MetricReport, ScoreReport

State = Literal["ok", "alert", "failed", "insufficient", "noData", "inconclusive"]

_STATES: dict[str, State] = {
    "Pass": "ok",
    "High": "failed",
    "Low": "failed",
    "Nodata": "noData",
    "NodataFailMetric": "noData",
    "Error": "inconclusive",
}


def reported(
    metric: Metric, modes: Mapping[str, dict[str, Any]], score: ScoreReport | None, rule: MetricReport | None
) -> MetricReport:
    """The metric as it stands: its class in the last score, and the means of the samples so far, beside its rule."""
    own = _own(metric, read_state(modes.get(CANARY, {})), score)
    if rule is None:
        return own
    worst = max(rule.state, own.state, key=GRAVITY.index)
    return rule.model_copy(update={"state": worst, "sentence": f"{rule.sentence}; {own.sentence}"})


def _own(metric: Metric, state: CanaryState, score: ScoreReport | None) -> MetricReport:
    unit = unit_of(metric)
    new, old = _mean(state.new), _mean(state.old)
    label = score.classes.get(metric.name, "") if score else ""
    return MetricReport(
        name=metric.name,
        value=scaled(new, unit),
        baseline=scaled(old, unit),
        unit=unit,
        state=_shown(metric, label),
        sentence=f"{_class(metric, label)}; {_means(new, old, unit)}, {_counts(state.new, state.old)}",
    )


def _shown(metric: Metric, label: str) -> State:
    state = _STATES.get(label, "inconclusive")
    return "alert" if state == "failed" and metric.canary and metric.canary.muted else state


def _class(metric: Metric, label: str) -> str:
    muted = " (muted)" if metric.canary and metric.canary.muted else ""
    return f"{label or 'not scored yet'}{muted}"


def _means(new: float | None, old: float | None, unit: str) -> str:
    shown = ["no value" if mean is None else amount(mean, unit) for mean in (new, old)]
    times = f", {new / old:.3g} times" if new is not None and old else ""
    return f"mean {shown[0]} against {shown[1]}{times}"


def _counts(new: Samples, old: Samples) -> str:
    with_value = [sum(value is not None for value in samples) for samples in (new, old)]
    return f"{with_value[0]} samples against {with_value[1]}"


def _mean(samples: Sequence[float | None]) -> float | None:
    values = [value for value in samples if value is not None]
    return sum(value / len(values) for value in values) if values else None
