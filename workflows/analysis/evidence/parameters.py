"""Everything that evidence depends on beside the data; fixed before a release begins, with the specified defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from workflows.analysis.evidence.mixture import ERROR_SIZES, LATENCY_SIZES, LIMIT_SIZES, SIZE_PRIOR, Form
from workflows.model.analysis import Analysis, HistogramMetric, Metric

Dependence = Literal["robust", "independent"]

HORIZON_SECONDS = 1800.0
"""Faults are expected to begin within this time."""


@dataclass(frozen=True)
class Parameters:
    """How a release's evidence is weighed (analysis specification, section 2)."""

    alpha: float = 0.01
    """Probability of a false rollback that is accepted over the whole release."""
    alpha_pass: float = 0.05
    """Probability that is accepted of promoting early what fails `pass_ratio` times as often."""
    dependence: Dependence = "robust"
    """`independent` is faster, and wrong where failures hit one version together."""
    cluster: float = 8.0
    """Largest group of failures that hit one version together inside a tick; at least 1 + retries."""
    horizon: int = 360
    """Ticks over which bets start."""
    no_data_timeout: float = 120.0
    """Seconds without data of both versions, or with the old one out of its objective, after which people are asked."""
    pass_ratio: float = 3.0
    """Early promotion needs evidence that the new version fails less than this many times as often."""
    leaning: float = 10.0
    """Evidence at which no stage passes."""

    @classmethod
    def of(cls, analysis: Analysis) -> Parameters:
        """What a document says, and defaults for the rest."""
        weighing = analysis.evidence
        return cls(
            alpha=weighing.alpha,
            dependence=weighing.dependence,
            cluster=weighing.cluster or cls.cluster,
            horizon=max(2, round(HORIZON_SECONDS / analysis.tick.total_seconds())),
            no_data_timeout=analysis.patience.total_seconds(),
        )

    @property
    def threshold(self) -> float:
        """The evidence that rolls back, as a logarithm."""
        return -math.log(self.alpha)

    def comparing(self, metric: Metric) -> Form:
        """The bets on a comparison of this metric."""
        return self.comparing_slowness if isinstance(metric, HistogramMetric) else self.comparing_errors

    @cached_property
    def comparing_errors(self) -> Form:
        """The bets on a comparison of errors."""
        is_robust = self.dependence == "robust"
        return Form(ERROR_SIZES, SIZE_PRIOR, self.cluster if is_robust else 1.0, is_robust, self.horizon)

    @cached_property
    def comparing_slowness(self) -> Form:
        """The bets on a comparison of latency, at each edge."""
        return replace(self.comparing_errors, sizes=LATENCY_SIZES)

    @cached_property
    def limiting(self) -> Form:
        """The bets against an absolute limit."""
        return replace(self.comparing_errors, sizes=LIMIT_SIZES, prior=(1 / len(LIMIT_SIZES),) * len(LIMIT_SIZES))

    @cached_property
    def promoting(self) -> Form:
        """The bets that the new version is far better than `pass_ratio` allows; requests must be independent (1.9)."""
        sizes = (1.0 / self.pass_ratio, 0.7 / self.pass_ratio, 1.3 / self.pass_ratio)
        return replace(self.comparing_errors, sizes=sizes, prior=(0.5, 0.25, 0.25), cluster=1.0, is_robust=False)
