"""How long a regression takes to be found, before a release begins (analysis specification 1.10).

Expectations, not promises: the time at which the mean growth of the best bet has paid for everything that was spread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from workflows.analysis.evidence.bets import Pair, Trial, compared, limited
from workflows.analysis.evidence.limits import limit_of
from workflows.analysis.evidence.mixture import STAKES, Form
from workflows.analysis.evidence.parameters import Parameters

RATIOS = (2.0, 5.0, 10.0)
"""Regressions that are shown."""

FAULTS = (0.01, 0.05, 0.2)
"""Shares of failing requests whose cost is shown."""

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


def request_seconds(traffic: Traffic, ratio: float, form: Form, alpha: float) -> float | None:
    """Seconds until bets on single requests find it: (ln(1/alpha) + ln(1/prior) + ln 2)/(rps growth); None if never."""
    per_second = traffic.rps * growth(traffic, ratio)
    size = min(range(len(form.sizes)), key=lambda j: abs(math.log(form.sizes[j] / ratio)))
    return _seconds(-math.log(alpha) - math.log(form.prior[size]) - math.log(form.first), per_second)


def expected_seconds(stake: Stake, traffic: Traffic, ratio: float) -> float | None:
    """Seconds until errors are found that are so many times as frequent, with the form that is named; None if never."""
    found = min(_until(bet.needed, bet.rate) for bet in stake.bets(traffic, ratio))
    return None if found == math.inf else max(found, traffic.tick)


def expected_find(stake: Stake, traffic: Traffic, ratio: float) -> Cost | None:
    """The same with what it costs until then, from the first request that met it."""
    seconds = expected_seconds(stake, traffic, ratio)
    failing = min(1.0, traffic.share * ratio)
    return None if seconds is None else Cost(seconds, seconds * traffic.rps * traffic.weight * failing)


class Stretch(NamedTuple):
    """Some time at one weight, from 0 to 1."""

    weight: float
    seconds: float


class Cost(NamedTuple):
    """What a fault costs until it is rolled back."""

    seconds: float
    """Since users first met it."""
    failed: float
    """Requests of users that fail by then."""


class Bet(NamedTuple):
    """One of those that the stake is spread over."""

    needed: float
    """Nats that it has to win before the whole reaches 1/alpha."""
    rate: float
    """Nats that it wins per second on the mean."""


class Stake(NamedTuple):
    """What judges a metric's errors, and with which part of the whole stake."""

    parameters: Parameters
    max_ratio: float | None = 1.25
    """The comparison's tolerance; None where nothing is compared."""
    parts: int = 1
    """Processes that share the stake: metrics, and two for a metric with a limit as well."""
    limit: float | None = None
    """The share that may fail; None without a limit."""

    def bets(self, traffic: Traffic, ratio: float) -> list[Bet]:
        """All of them, in an order that does not depend on the traffic."""
        found: list[Bet] = []
        if self.max_ratio is not None:
            found += self._bets(_Compared(self.parameters.comparing_errors, traffic, ratio, self.max_ratio))
        if self.limit is not None:
            limit = limit_of(self.limit, ((traffic.share, 1.0),))
            found += self._bets(_Limited(self.parameters.limiting, traffic, ratio, limit))
        return found

    def _bets(self, test: _Test) -> list[Bet]:
        form = test.form
        stake = self.parameters.threshold - math.log(form.first) + math.log(self.parts) + form.is_robust * math.log(2)
        counts = [Bet(stake - math.log(p), rate) for p, rate in zip(form.prior, _count_growth(test), strict=True)]
        blocks = test.block_growth() if form.is_robust else []
        return [*counts, *(Bet(stake + math.log(len(STAKES)), won / test.traffic.tick) for won in blocks)]


def expected_cost(stake: Stake, stretches: Sequence[Stretch], traffic: Traffic, fault: float) -> Cost | None:
    """What a version costs of which the share `fault` fails; None when nothing finds it before all users have it.

    Mean growths are added up over the stretches until the first bet has paid for everything that was spread.
    """
    held: list[float] = []
    cost = Cost(0.0, 0.0)
    for weight, seconds in stretches:
        bets = stake.bets(replace(traffic, weight=weight), fault / traffic.share)
        held = held or [0.0] * len(bets)
        left = min(_until(bet.needed - has, bet.rate) for bet, has in zip(bets, held, strict=True))
        found = left <= seconds
        # It is noticed when a tick ends.
        spent = left + traffic.tick / 2 if found else seconds
        cost = Cost(cost.seconds + spent, cost.failed + spent * traffic.rps * weight * fault)
        if found:
            return cost
        held = [max(has + bet.rate * seconds, 0.0) for bet, has in zip(bets, held, strict=True)]
    return None


def _until(needed: float, rate: float) -> float:
    return max(needed, 0.0) / rate if rate > 1e-12 else math.inf


class _Test(Protocol):
    """What is tested in every tick."""

    form: Form
    traffic: Traffic

    def trial(self, seconds: float) -> Trial | None:
        """The mean one of this time."""
        ...

    def block_growth(self) -> list[float]:
        """Nats per tick of each stake."""
        ...


@dataclass(frozen=True)
class _Compared:
    """Whose errors they are."""

    form: Form
    traffic: Traffic
    ratio: float
    max_ratio: float

    def trial(self, seconds: float) -> Trial | None:
        return compared(_pair(self.traffic, self.ratio, seconds), self.max_ratio)

    def block_growth(self) -> list[float]:
        """Over Poisson errors whose split is binomial."""
        trial = self.trial(self.traffic.tick)
        if trial is None:
            return [0.0] * len(STAKES)
        mean, part = trial.trials, trial.hits / trial.trials
        if mean > _MANY:
            return [math.log1p(b * (part / trial.share - 1.0)) for b in STAKES]
        return [_growth_of_split(b, mean, part, trial.share) for b in STAKES]


@dataclass(frozen=True)
class _Limited:
    """Whether too many of the new version's requests fail."""

    form: Form
    traffic: Traffic
    ratio: float
    limit: float

    def trial(self, seconds: float) -> Trial | None:
        return limited(_pair(self.traffic, self.ratio, seconds), self.limit)

    def block_growth(self) -> list[float]:
        """Over a Poisson number of failures."""
        trial = self.trial(self.traffic.tick)
        if trial is None:
            return [0.0] * len(STAKES)
        if trial.hits > _MANY:
            return [math.log1p(b * (trial.hits / trial.trials / trial.share - 1.0)) for b in STAKES]
        return [_growth_of_hits(b, trial) for b in STAKES]


def _count_growth(test: _Test) -> list[float]:
    """Nats per second of each size."""
    form, trial = test.form, test.trial(1.0)
    if trial is None:
        return [0.0] * len(form.sizes)
    hits, trials = trial.hits / form.cluster, trial.trials / form.cluster
    return [hits * log_size - trials * math.log1p(lift * trial.share) for log_size, lift in form.logs_and_lifts]


def _growth_of_split(stake: float, mean: float, part: float, share: float) -> float:
    total = 0.0
    for errors, chance in enumerate(_poisson(mean)):
        for hits in range(errors + 1 if errors else 0):
            split = math.comb(errors, hits) * part**hits * (1.0 - part) ** (errors - hits)
            total += chance * split * math.log1p(stake * (hits / errors / share - 1.0))
    return total


def _growth_of_hits(stake: float, trial: Trial) -> float:
    chances = enumerate(_poisson(trial.hits))
    return sum(chance * math.log1p(stake * (hits / trial.trials / trial.share - 1.0)) for hits, chance in chances)


def _poisson(mean: float) -> Iterator[float]:
    """How probable 0, 1, 2, ... are, as far as it matters."""
    chance = math.exp(-mean)
    for number in range(1, math.ceil(mean + 8 * math.sqrt(mean) + 8) + 1):
        yield chance
        chance *= mean / number


def _pair(traffic: Traffic, ratio: float, seconds: float) -> Pair:
    requests = traffic.rps * seconds
    new, old = requests * traffic.weight, requests * (1.0 - traffic.weight)
    return Pair(new * min(1.0, traffic.share * ratio), new, old * traffic.share, old)


def _seconds(needed: float, per_second: float) -> float | None:
    return needed / per_second if per_second > 1e-12 else None
