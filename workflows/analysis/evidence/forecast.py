"""How long a regression takes to be found, before a release begins (analysis specification 1.10).

Expectations, not promises: the time at which the mean growth of the best bet has paid for everything that was spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workflows.analysis.evidence.bets import Pair, compared
from workflows.analysis.evidence.mixture import STAKES, Form
from workflows.analysis.evidence.parameters import Parameters

RATIOS = (2.0, 5.0, 10.0)
"""Regressions that are shown."""

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


def expected_seconds(
    parameters: Parameters, traffic: Traffic, ratio: float, *, max_ratio: float = 1.25, parts: int = 1
) -> float | None:
    """Seconds until a comparison of errors finds it, with the form that the parameters name; None if never.

    `parts` is how many processes share the stake: metrics, and two for a metric with a limit as well.
    """
    form = parameters.comparing_errors
    stake = -math.log(parameters.alpha) - math.log(form.first) + math.log(parts)
    counts = [
        _seconds(stake - math.log(prior) + form.is_robust * math.log(2), found)
        for prior, found in zip(form.prior, _count_growth(form, traffic, ratio, max_ratio), strict=True)
    ]
    blocks = [
        _seconds(stake + math.log(2 * len(STAKES)), found / traffic.tick)
        for found in (_block_growth(traffic, ratio, max_ratio) if form.is_robust else ())
    ]
    found = min((each for each in (*counts, *blocks) if each is not None), default=None)
    return None if found is None else max(found, traffic.tick)


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
