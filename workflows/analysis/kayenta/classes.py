"""One metric's class: Pass, High, Low, Nodata, NodataFailMetric or Error, by the rules of Kayenta's NetflixACAJudge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from workflows.analysis.kayenta.cleaning import cleaned
from workflows.analysis.kayenta.mann_whitney import Shift, common_language_effect, mean_ratio, shift
from workflows.model.kayenta import CanaryMetric

Label = Literal["Pass", "High", "Low", "Nodata", "NodataFailMetric", "Error"]

BOUND = 0.25
"""A shift counts when its interval lies beyond this part of its own estimate."""


LARGEST = 1e15
"""Beyond this the solver would walk for seconds, and tell nothing apart: such numbers are an Error."""


class Classified(NamedTuple):
    """One metric's class, and what it means for the score."""

    label: Label
    is_critical: bool = False
    """With any class but Pass the whole analysis fails."""


def classify(canary: CanaryMetric, new: Sequence[float | None], old: Sequence[float | None]) -> Classified:
    """Judges the samples of the new version against those of the old one."""
    experiment, control = cleaned(new, canary), cleaned(old, canary)
    if not experiment or not control:
        return _without_data(canary)
    if sorted(experiment) == sorted(control) or len({*experiment, *control}) == 1:
        return Classified("Pass")
    if max(map(abs, (*experiment, *control))) > LARGEST:
        return Classified("Error")
    try:
        return _compared(canary, experiment, control)
    except ZeroDivisionError:
        # Values that only differ in what a shift rounds away are all tied; Kayenta's test ends with an error, too.
        return Classified("Error")


def _without_data(canary: CanaryMetric) -> Classified:
    if canary.nan_strategy == "replace":
        return Classified("Pass")
    if canary.must_have_data and not canary.critical:
        return Classified("NodataFailMetric")
    return Classified("Nodata", is_critical=canary.critical)


def _compared(canary: CanaryMetric, experiment: list[float], control: list[float]) -> Classified:
    effect = _effect(canary, experiment, control)
    label = _label(canary, shift(experiment, control), effect)
    if label == "Pass" or not canary.critical:
        return Classified(label)
    return Classified(label, is_critical=_reaches(label, effect, canary.effect_size.critical()))


def _label(canary: CanaryMetric, found: Shift, effect: float | None) -> Literal["Pass", "High", "Low"]:
    bound, allowed = BOUND * abs(found.estimate), canary.effect_size.allowed()
    if canary.direction != "decrease" and found.low > bound and _reaches("High", effect, allowed):
        return "High"
    if canary.direction != "increase" and found.high < -bound and _reaches("Low", effect, allowed):
        return "Low"
    return "Pass"


def _reaches(label: Literal["High", "Low"], effect: float | None, limits: tuple[float, float]) -> bool:
    """Whether the effect is as large as it must be; one that cannot be told is."""
    decrease, increase = limits
    return effect is None or (effect >= increase if label == "High" else effect <= decrease)


def _effect(canary: CanaryMetric, experiment: list[float], control: list[float]) -> float | None:
    if canary.effect_size.measure == "cles":
        return common_language_effect(experiment, control)
    return mean_ratio(experiment, control)
