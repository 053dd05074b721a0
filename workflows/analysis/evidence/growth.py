"""What bets win on the mean when a fault is known: the sums behind a forecast (analysis specification 1.10)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from workflows.analysis.evidence.bets import Pair, Trial, compared, limited
from workflows.analysis.evidence.mixture import STAKES, Form

_MANY = 60
"""Errors of a tick above which their split is taken for its mean."""


@dataclass(frozen=True)
class Traffic:
    """What a stage gets."""

    rps: float
    """Requests per second of both versions."""
    weight: float
    """The new version's share of them, from 0 to 1."""
    share: float
    """How many requests of the old version fail, from 0 to 1."""
    tick: float = 5.0
    """Seconds between two readings."""


def growth(traffic: Traffic, ratio: float) -> float:
    """What a request is worth, in nats, when the new version fails `ratio` times as often.

    p_s [w r ln r - (1 + (r-1)w) ln(1 + (r-1)w)], for bets on counts without clusters and a tolerated ratio of 1.
    """
    lifted = 1.0 + (ratio - 1.0) * traffic.weight
    return traffic.share * (traffic.weight * ratio * math.log(ratio) - lifted * math.log(lifted))


@dataclass(frozen=True)
class Trials(ABC):
    """What is tested in every tick, and by how much."""

    form: Form
    traffic: Traffic
    ratio: float
    bound: float

    def pair(self, seconds: float) -> Pair:
        """What both versions count in this time on the mean."""
        requests = self.traffic.rps * seconds
        new, old = requests * self.traffic.weight, requests * (1.0 - self.traffic.weight)
        return Pair(new * min(1.0, self.traffic.share * self.ratio), new, old * self.traffic.share, old)

    @abstractmethod
    def trial(self, seconds: float) -> Trial | None:
        """The mean one of this time."""

    def count_growth(self) -> list[float]:
        """Nats per second of each size."""
        form, trial = self.form, self.trial(1.0)
        if trial is None:
            return [0.0] * len(form.sizes)
        hits, trials = trial.hits / form.cluster, trial.trials / form.cluster
        return [hits * log_size - trials * math.log1p(lift * trial.share) for log_size, lift in form.logs_and_lifts]

    def block_growth(self) -> list[float]:
        """Nats per tick of each stake."""
        trial = self.trial(self.traffic.tick)
        return [self._growth(b, trial) for b in STAKES] if trial else [0.0] * len(STAKES)

    @abstractmethod
    def _growth(self, stake: float, trial: Trial) -> float: ...


class Compared(Trials):
    """Whose errors they are; a tick has a Poisson number of them, whose split is binomial."""

    def trial(self, seconds: float) -> Trial | None:
        return compared(self.pair(seconds), self.bound)

    def _growth(self, stake: float, trial: Trial) -> float:
        mean, part = trial.trials, trial.hits / trial.trials
        if mean > _MANY:
            return _won(stake, trial, part)
        total = 0.0
        for errors, chance in enumerate(_poisson(mean)):
            for hits in range(errors + 1 if errors else 0):
                split = math.comb(errors, hits) * part**hits * (1.0 - part) ** (errors - hits)
                total += chance * split * _won(stake, trial, hits / errors)
        return total


class Limited(Trials):
    """Whether too many of the new version's requests fail; a tick has a Poisson number of failures."""

    def trial(self, seconds: float) -> Trial | None:
        return limited(self.pair(seconds), self.bound)

    def _growth(self, stake: float, trial: Trial) -> float:
        if trial.hits > _MANY:
            return _won(stake, trial, trial.hits / trial.trials)
        chances = enumerate(_poisson(trial.hits))
        return sum(chance * _won(stake, trial, hits / trial.trials) for hits, chance in chances)


def _won(stake: float, trial: Trial, part: float) -> float:
    """What a block bet wins when this part of the trials are hits."""
    return math.log1p(stake * (part / trial.share - 1.0))


def _poisson(mean: float) -> Iterator[float]:
    """How probable 0, 1, 2, ... are, as far as it matters."""
    chance = math.exp(-mean)
    for number in range(1, math.ceil(mean + 8 * math.sqrt(mean) + 8) + 1):
        yield chance
        chance *= mean / number
