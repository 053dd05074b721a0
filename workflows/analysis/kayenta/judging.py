"""`judge: kayenta` for the seam: every metric collects samples, and one score over all of them decides.

The score is made at every `interval` of a stage and at its end, as Spinnaker's canary stage does: not above `marginal`
is a rollback at any time, below `pass` at the end. One thing is Headgate's own: missing data alone never rolls back, it
extends the stage and then holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from workflows.analysis import reasons
from workflows.analysis.kayenta.classes import Classified, classify
from workflows.analysis.kayenta.sampling import CANARY, CanaryState, Samples, advance, read_state
from workflows.analysis.kayenta.scores import Scored, score
from workflows.analysis.ticks import Evaluation, Tick
from workflows.analysis.wording import duration, unit_of
from workflows.model.analysis import Analysis, Metric
from workflows.model.decision import Decision, ScoreReport
from workflows.model.kayenta import Kayenta
from workflows.model.shapes import Message

_SCALES = {"%": 100.0, "s": 1000.0}
_BLAMING = frozenset({"High", "Low"})


class ScoreState(Message):
    """What the release remembers of its score."""

    stage: int = 0
    taken: int = 0
    """Samples of the stage when the score was made last."""
    report: ScoreReport | None = None
    worse: dict[str, str] = {}
    """The classes of the metrics that the score suffers from."""


class Judgement(NamedTuple):
    """The score after a tick."""

    state: ScoreState
    decision: Decision


def judge_canary(kayenta: Kayenta, metric: Metric, state: dict[str, Any], tick: Tick) -> Evaluation:
    """One tick of `canary`: it takes samples, and lets the stage pass once it has one of it."""
    after = advance(kayenta, metric, read_state(state), tick)
    decision = Decision(verdict="pass")
    if not after.taken:
        message = f"{metric.name}: no sample in this stage yet; one is taken every "
        message += duration(kayenta.step.total_seconds())
        decision = Decision(verdict="continue", reason=reasons.AWAITING_SAMPLE, message=message)
    return Evaluation(after.model_dump(mode="json", by_alias=True, exclude_defaults=True), None, decision)


def judged(
    analysis: Analysis, states: Iterable[tuple[Metric, Mapping[str, dict[str, Any]]]], before: ScoreState, *, ends: bool
) -> Judgement:
    """The score of all metrics when it is due; `ends` is whether the stage's time is over."""
    found = {metric.name: (metric, read_state(modes.get(CANARY, {}))) for metric, modes in states if metric.canary}
    taken = max((state.taken for _, state in found.values()), default=0)
    stage = max((state.stage for _, state in found.values()), default=0)
    if stage != before.stage:
        before = before.model_copy(update={"stage": stage, "taken": 0})
    if not any(state.old for _, state in found.values()):
        # The first version ever, or a judge that is not Kayenta: there is nothing to compare.
        return Judgement(before, Decision(verdict="continue", reason=reasons.OBSERVING))
    fresh = taken - before.taken
    is_due = fresh >= analysis.scoring.samples_per_interval or (ends and fresh > 0)
    now = _scored(analysis.scoring, list(found.values()), stage, taken) if is_due else before
    if not now.taken or not (is_due or ends):
        return Judgement(now, Decision(verdict="continue", reason=reasons.OBSERVING))
    return Judgement(now, _decided(analysis.scoring, now, ends=ends))


def _scored(kayenta: Kayenta, found: Sequence[tuple[Metric, CanaryState]], stage: int, taken: int) -> ScoreState:
    classes = [
        (metric, classify(metric.canary, _scaled(metric, state.new), _scaled(metric, state.old)))
        for metric, state in found
        if metric.canary
    ]
    scoring = {
        metric.name: (metric.canary, one) for metric, one in classes if metric.canary and not metric.canary.muted
    }
    came_to = score(scoring, kayenta.group_weights)
    report = ScoreReport(
        score=came_to.score,
        marginal=kayenta.marginal,
        passing=kayenta.passing,
        samples=taken,
        classes={metric.name: one.label for metric, one in classes},
        groups={name: value for name, value in came_to.groups.items() if value is not None},
        reason=came_to.reason,
        warnings=tuple(_warnings(came_to, classes)),
    )
    worse: dict[str, str] = {name: one.label for name, (_, one) in scoring.items() if one.label != "Pass"}
    return ScoreState(stage=stage, taken=taken, report=report, worse=worse)


def _scaled(metric: Metric, samples: Samples) -> list[float | None]:
    """As Kayenta's users measure them, in percent and milliseconds: its solver knows no numbers below 0.0001."""
    scale = _SCALES.get(unit_of(metric), 1.0)
    return [None if value is None else value * scale for value in samples]


def _warnings(came_to: Scored, classes: Sequence[tuple[Metric, Classified]]) -> Iterable[str]:
    """Where the score says more than is known, as Kayenta's does."""
    for name, value in came_to.groups.items():
        if value is None:
            yield f"group {name} has no data and counts as 100, as in Kayenta"
    for metric, one in classes:
        if one.label == "Error":
            yield f"{metric.name} could not be judged and counts as nothing, as in Kayenta"


def _decided(kayenta: Kayenta, state: ScoreState, *, ends: bool) -> Decision:
    total = state.report.score if state.report else 0.0
    is_low = total <= kayenta.marginal
    if not is_low and not (ends and total < kayenta.passing):
        return Decision(verdict="pass" if ends else "continue", reason=reasons.OBSERVING)
    wanted = f"more than {kayenta.marginal:g}" if is_low else f"{kayenta.passing:g} at the end of a stage"
    why = (state.report and state.report.reason) or ", ".join(f"{name} {label}" for name, label in state.worse.items())
    message = f"Kayenta's score is {total:g} and must be {wanted} ({why})"
    if _BLAMING.isdisjoint(state.worse.values()):
        return Decision(
            verdict="continue", reason=reasons.NO_DATA, message=f"{message}; missing data rolls nothing back"
        )
    return Decision(verdict="rollback", reason=reasons.SCORE_TOO_LOW, message=message)
