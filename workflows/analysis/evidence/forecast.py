"""How long a regression takes to be found, before a release begins (analysis specification 1.10).

Expectations, not promises: the time at which the mean growth of the best bet has paid for everything that was spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from workflows.analysis.evidence.bets import Pair, compared
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
    """Seconds until a comparison of errors finds it, with the form that the parameters name; None if never."""
    found = min(map(_until, stake.needed, stake.rates(traffic, ratio)))
    return None if found == math.inf else max(found, traffic.tick)


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


class Stake(NamedTuple):
    """What a comparison of errors has to win, and against which tolerance."""

    parameters: Parameters
    max_ratio: float = 1.25
    parts: int = 1
    """Processes that share the stake: metrics, and two for a metric with a limit as well."""

    @property
    def needed(self) -> list[float]:
        """What each bet has to win, in nats, before the whole reaches 1/alpha."""
        form = self.parameters.comparing_errors
        stake = self.parameters.threshold - math.log(form.first) + math.log(self.parts)
        counts = [stake - math.log(prior) + form.is_robust * math.log(2) for prior in form.prior]
        return [*counts, *[stake + math.log(2 * len(STAKES))] * len(form.stakes)]

    def rates(self, traffic: Traffic, ratio: float) -> list[float]:
        """What each bet wins per second."""
        form = self.parameters.comparing_errors
        blocks = _block_growth(traffic, ratio, self.max_ratio) if form.is_robust else []
        return [*_count_growth(form, traffic, ratio, self.max_ratio), *(found / traffic.tick for found in blocks)]


def expected_cost(stake: Stake, stretches: Sequence[Stretch], traffic: Traffic, fault: float) -> Cost | None:
    """What a version costs of which the share `fault` fails; None when no comparison finds it before all users have it.

    Mean growths are added up over the stretches until the first bet has paid for everything that was spread.
    """
    needed = stake.needed
    held = [0.0] * len(needed)
    cost = Cost(0.0, 0.0)
    for weight, seconds in stretches:
        rates = stake.rates(replace(traffic, weight=weight), fault / traffic.share)
        left = min(_until(n - h, rate) for n, h, rate in zip(needed, held, rates, strict=True))
        found = left <= seconds
        # It is noticed when a tick ends.
        spent = left + traffic.tick / 2 if found else seconds
        cost = Cost(cost.seconds + spent, cost.failed + spent * traffic.rps * weight * fault)
        if found:
            return cost
        held = [max(h + rate * seconds, 0.0) for h, rate in zip(held, rates, strict=True)]
    return None


def _until(needed: float, rate: float) -> float:
    return max(needed, 0.0) / rate if rate > 1e-12 else math.inf


def _count_growth(form: Form, traffic: Traffic, ratio: float, max_ratio: float) -> list[float]:
    """Nats per second of each size."""
    trial = compared(_pair(traffic, ratio, 1.0), max_ratio)
    if trial is None:
        return [0.0] * len(form.sizes)
    hits, errors = trial.hits / form.cluster, trial.trials / form.cluster
    return [hits * log_size - errors * math.log1p(lift * trial.share) for log_size, lift in form.logs_and_lifts]


def _block_growth(traffic: Traffic, ratio: float, max_ratio: float) -> list[float]:
    """Nats per tick of each stake, over Poisson errors whose split is binomial."""
    pair = _pair(traffic, ratio, traffic.tick)
    trial = compared(pair, max_ratio)
    if trial is None:
        return [0.0] * len(STAKES)
    mean, part = trial.trials, trial.hits / trial.trials
    if mean > _MANY:
        return [math.log1p(b * (part / trial.share - 1.0)) for b in STAKES]
    return [_mean_growth(b, mean, part, trial.share) for b in STAKES]


def _mean_growth(stake: float, mean: float, part: float, share: float) -> float:
    total, chance = 0.0, math.exp(-mean)
    for errors in range(1, math.ceil(mean + 8 * math.sqrt(mean) + 8)):
        chance *= mean / errors
        for hits in range(errors + 1):
            split = math.comb(errors, hits) * part**hits * (1.0 - part) ** (errors - hits)
            total += chance * split * math.log1p(stake * (hits / errors / share - 1.0))
    return total


def _pair(traffic: Traffic, ratio: float, seconds: float) -> Pair:
    requests = traffic.rps * seconds
    new, old = requests * traffic.weight, requests * (1.0 - traffic.weight)
    return Pair(new * min(1.0, traffic.share * ratio), new, old * traffic.share, old)


def _seconds(needed: float, per_second: float) -> float | None:
    return needed / per_second if per_second > 1e-12 else None
