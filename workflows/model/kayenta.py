"""What a metric says to the judge `kayenta`: the words of Kayenta's own canary configuration, with its defaults.

What they mean is in `workflows/analysis/kayenta`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from workflows.model.shapes import Document, Duration

Group = Annotated[str, Field(min_length=1, max_length=60)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Effect = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EffectSize(Document):
    """How large a difference must be beside being significant."""

    measure: Literal["meanRatio", "cles"] = "meanRatio"
    """`meanRatio`: the new version's mean over the old one's. `cles`: how probably a sample of the new version is the
    larger one of a pair."""
    allowed_increase: Effect | None = None
    """Below this a larger metric passes all the same; 1 for `meanRatio` and 0.5 for `cles` when not given."""
    allowed_decrease: Effect | None = None
    """Above this a smaller metric passes all the same; 1 or 0.5 when not given."""
    critical_increase: Effect | None = None
    """Only `critical`: from here on a larger metric fails the whole analysis; 1 or 0.5 when not given."""
    critical_decrease: Effect | None = None
    """Only `critical`: down from here a smaller metric fails the whole analysis; 1 or 0.5 when not given."""

    @property
    def usual(self) -> float:
        """The measure's value where both versions are alike: what a limit is that nobody gave."""
        return 0.5 if self.measure == "cles" else 1.0

    def allowed(self) -> tuple[float, float]:
        """Decrease and increase beyond which the metric fails."""
        return _or(self.allowed_decrease, self.usual), _or(self.allowed_increase, self.usual)

    def critical(self) -> tuple[float, float]:
        """Decrease and increase beyond which everything fails."""
        return _or(self.critical_decrease, self.usual), _or(self.critical_increase, self.usual)


def _or(limit: float | None, usual: float) -> float:
    return usual if limit is None else limit


class Outliers(Document):
    """Samples far from the others."""

    strategy: Literal["keep", "remove"] = "keep"
    """Whether they are judged."""
    outlier_factor: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 3
    """How many interquartile ranges beyond the quartiles is far; within the 1st and 99th percentile nothing is."""


class CanaryMetric(Document):
    """How Kayenta judges one metric: the samples of the new version against those of the old one beside it."""

    groups: Annotated[tuple[Group, ...], Field(min_length=1, max_length=10)] = ("metrics",)
    """The groups in whose scores the metric counts."""
    direction: Literal["increase", "decrease", "either"] = "either"
    """Which change is bad."""
    nan_strategy: Literal["remove", "replace"] = "remove"
    """What a step without a value counts as: nothing, or 0. With `replace` a metric without any data passes."""
    critical: bool = False
    """Whether this metric alone fails the analysis, when it is High, Low or has no data."""
    must_have_data: bool = False
    """Whether a metric without data counts as failed; else it counts as nothing."""
    muted: bool = False
    """Shown and not scored."""
    effect_size: EffectSize = EffectSize()
    """How large a difference must be."""
    outliers: Outliers = Outliers()
    """What is done with samples far from the others; nothing by default."""


class Kayenta(Document):
    """How the judge `kayenta` takes samples and what its score must reach: what Spinnaker's canary stage says."""

    step: Duration = timedelta(seconds=10)
    """One sample of each version is taken per step; at least one tick."""
    interval: Duration = timedelta(minutes=5)
    """How often the score is made within a stage; it is also made when the stage ends. A score that is not above
    `marginal` rolls back."""
    samples: Annotated[int, Field(ge=5, le=200)] = 50
    """Samples of each version that are kept, of this stage; the oldest go first."""
    marginal: Percent = 75
    """A score must be above this whenever it is made."""
    passing: Annotated[Percent, Field(alias="pass")] = 95
    """The score that a stage must reach at its end; a lower one rolls back."""
    group_weights: dict[Group, Percent] = {}
    """The percentage with which a group counts; groups without one share what is left of 100."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        problems = []
        if self.step > self.interval:
            problems.append("interval must be at least one step")
        if self.marginal > self.passing:
            problems.append("marginal must not be above pass")
        if sum(self.group_weights.values()) > 100:
            problems.append("groupWeights must not be more than 100 together")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def problems(self, groups: set[str]) -> list[str]:
        """What does not fit the groups that the metrics have."""
        strangers = sorted(self.group_weights.keys() - groups)
        found = [f"groupWeights names {name}, which is no metric's group" for name in strangers]
        if not found and groups == self.group_weights.keys() and sum(self.group_weights.values()) != 100:
            found.append("groupWeights must be 100 together, or no score could reach 100")
        return found

    @property
    def samples_per_interval(self) -> int:
        """After so many samples the score is made."""
        return max(1, round(self.interval / self.step))
