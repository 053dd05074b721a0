"""Samples of both versions, one per step, in a state that is bounded and travels as JSON.

They are those of one stage, as a canary stage of Spinnaker is an analysis of its own. Where nothing serves beside the
new version, the old one's last samples stand in for it: then the score is a rule about before and after.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from workflows.analysis.samples import Counts, sample
from workflows.analysis.ticks import NOTHING, Tick
from workflows.model.analysis import Metric
from workflows.model.kayenta import Kayenta
from workflows.model.shapes import Message

CANARY = "canary"
"""The mode of a metric that this judge looks at."""

DIGITS = 6
"""Significant ones of a sample."""

Samples = tuple[float | None, ...]
"""None for a step without a value."""


class CanaryState(Message):
    """What is remembered of one metric between ticks, workers and segments."""

    stage: int = 0
    """The one that the new version's samples are of."""
    taken: int = 0
    """Samples taken in this stage, those that are not kept any more included."""
    new: Samples = ()
    old: Samples = ()
    old_stage: int = 0
    waited: float = 0
    """Seconds of the step that is open."""
    counted: Counts = NOTHING
    """What the new version counted in it."""
    compared: Counts = NOTHING
    """The same of the old one."""


def read_state(state: dict[str, Any]) -> CanaryState:
    """A state as a worker or another version wrote it; one that cannot be read counts as none."""
    try:
        return CanaryState.model_validate(state)
    except ValidationError:
        return CanaryState()


def advance(kayenta: Kayenta, metric: Metric, state: CanaryState, tick: Tick) -> CanaryState:
    """One tick further; what may have been counted at other weights, or while nobody looked, is left out."""
    if state.stage != tick.stage:
        state = CanaryState(stage=tick.stage, old=state.old, old_stage=state.old_stage)
    # Within a stage weights do not move: only before its first step an opening tick may lie across a shift.
    is_early = tick.is_shifted and not state.taken and not state.waited
    if is_early or tick.is_gap or tick.seconds <= 0:
        return state
    state = state.model_copy(
        update={
            "waited": state.waited + tick.seconds,
            "counted": state.counted.plus(tick.new),
            "compared": state.compared.plus(tick.old),
        }
    )
    # Half a tick of tolerance keeps a step of n ticks from becoming n + 1.
    is_due = state.waited + tick.seconds / 2 >= kayenta.step.total_seconds()
    return _taken(kayenta, metric, state, is_beside=tick.is_beside) if is_due else state


def _taken(kayenta: Kayenta, metric: Metric, state: CanaryState, *, is_beside: bool) -> CanaryState:
    update: dict[str, Any] = {
        "taken": state.taken + 1,
        "new": _kept(kayenta, state.new, sample(metric, state.counted)),
        "waited": 0.0,
        "counted": NOTHING,
        "compared": NOTHING,
    }
    if is_beside:
        before = state.old if state.old_stage == state.stage else ()
        update |= {"old": _kept(kayenta, before, sample(metric, state.compared)), "old_stage": state.stage}
    return state.model_copy(update=update)


def _kept(kayenta: Kayenta, samples: Samples, value: float | None) -> Samples:
    cut = None if value is None else float(f"{value:.{DIGITS}g}")
    return (*samples, cut)[-kayenta.samples :]
