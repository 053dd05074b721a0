"""How long a regression takes to be found, before a release begins (analysis specification 1.10).

Expectations, not promises: the time at which the mean growth of the best bet has paid for everything that was spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from workflows.analysis.evidence.growth import Compared, Limited, Traffic, Trials, growth
from workflows.analysis.evidence.limits import limit_of
from workflows.analysis.evidence.mixture import STAKES, Form
from workflows.analysis.evidence.parameters import Parameters

RATIOS = (2.0, 5.0, 10.0)
"""Regressions that are shown."""

FAULTS = (0.01, 0.05, 0.2)
"""Shares of failing requests whose cost is shown."""


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
            found += self._bets(Compared(self.parameters.comparing_errors, traffic, ratio, self.max_ratio))
        if self.limit is not None:
            limit = limit_of(self.limit, ((traffic.share, 1.0),))
            found += self._bets(Limited(self.parameters.limiting, traffic, ratio, limit))
        return found

    def _bets(self, test: Trials) -> list[Bet]:
        form = test.form
        stake = self.parameters.threshold - math.log(form.first) + math.log(self.parts) + form.is_robust * math.log(2)
        counts = [Bet(stake - math.log(p), rate) for p, rate in zip(form.prior, test.count_growth(), strict=True)]
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


def _seconds(needed: float, per_second: float) -> float | None:
    return needed / per_second if per_second > 1e-12 else None
