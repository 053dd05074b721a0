"""Bets of several sizes, started at several times, as one process (analysis specification 1.2).

Nobody knows how bad a fault is or when it begins, so the stake is spread over both before anything is seen. A fixed
mixture of martingales that start at 1 is one itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from workflows.analysis.evidence.bets import HIGHEST, Trial, block_bets, count_bets
from workflows.model.shapes import Message

ERROR_SIZES = (1.5, 2.0, 3.0, 5.0, 10.0, 25.0, 100.0, 500.0)
"""How many times as often the new version may fail."""
LATENCY_SIZES = (1.1, 1.25, 1.5, 2.0, 3.0, 6.0, 15.0, 50.0)
"""The same for being slow, which is rarely rare."""
SIZE_PRIOR = (0.25, 0.20, 0.15, 0.12, 0.10, 0.08, 0.06, 0.04)
LIMIT_SIZES = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
"""Odds of failing, as multiples of those at the limit; all count the same."""
STAKES = (0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
"""Of block bets; all count the same."""

STAKE_PRIOR = (1 / len(STAKES),) * len(STAKES)

LOWEST = 1e-300
"""Less evidence than this is shown as this much."""


@dataclass(frozen=True)
class Form:
    """What is bet on, fixed before a release begins."""

    sizes: tuple[float, ...]
    prior: tuple[float, ...]
    cluster: float = 8.0
    """Failures that hit one version together: a client and its retries."""
    is_robust: bool = True
    """Half of the stake on blocks and half on counts tempered by the cluster; else all of it on counts."""
    horizon: int = 180
    """Ticks over which bets start."""
    first: float = 0.5
    """What starts at once."""

    @property
    def stakes(self) -> tuple[float, ...]:
        """Of block bets."""
        return STAKES if self.is_robust else ()

    @property
    def stake_prior(self) -> tuple[float, ...]:
        """They all count the same."""
        return STAKE_PRIOR if self.is_robust else ()

    @cached_property
    def logs_and_lifts(self) -> tuple[tuple[float, float], ...]:
        """Of each size its logarithm, and what it is above 1."""
        return tuple((math.log(size), size - 1.0) for size in self.sizes)


class Start(Message):
    """How much of the stake has not been bet yet; one for all processes that see the same ticks."""

    idle: float = 1.0
    ticks: int = 0

    def share(self, form: Form) -> float:
        """What starts with the next tick: `first` at once, the rest evenly until the horizon."""
        if self.ticks == 0:
            return min(form.first, self.idle)
        return min((1.0 - form.first) / max(form.horizon - 1, 1), self.idle)

    def after(self, form: Form) -> Start:
        """The stake that is left after the next tick."""
        return Start(idle=self.idle - self.share(form), ticks=self.ticks + 1)


class Mixture(Message):
    """What every bet holds now, weighted by its prior; empty before the first tick."""

    counts: tuple[float, ...] = ()
    blocks: tuple[float, ...] = ()


def advanced(form: Form, mixture: Mixture, trial: Trial | None, *, starting: float) -> Mixture:
    """One tick further: `M_j <- (M_j + a_t prior_j) L(g_j)`; without a trial the new bets start and nothing is won."""
    counts = count_bets(trial, form) if trial else [1.0] * len(form.prior)
    blocks = block_bets(trial, form.stakes) if trial else [1.0] * len(form.stakes)
    return Mixture(
        counts=_grown(mixture.counts, form.prior, counts, starting),
        blocks=_grown(mixture.blocks, form.stake_prior, blocks, starting),
    )


def evidence(form: Form, mixture: Mixture, *, idle: float) -> float:
    """The evidence against the hypothesis: what the bets hold, and what was not staked yet."""
    counts = sum(mixture.counts) + idle
    return 0.5 * counts + 0.5 * (sum(mixture.blocks) + idle) if form.is_robust else counts


def logarithm(evidence: float) -> float:
    """As people see it and as it is compared with a threshold; finite for all that was lost, too."""
    return math.log(max(evidence, LOWEST))


def _grown(held: Sequence[float], prior: Sequence[float], bets: Sequence[float], starting: float) -> tuple[float, ...]:
    """Held and new stakes after one tick; those of other sizes than today's, from another version, are given up."""
    held = held if len(held) == len(bets) else (0.0,) * len(bets)
    after = [(m + starting * p) * bet for m, p, bet in zip(held, prior, bets, strict=True)]
    return tuple(after) if sum(after) < HIGHEST else tuple([min(each, HIGHEST) for each in after])
