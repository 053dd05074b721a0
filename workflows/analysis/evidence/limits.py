"""The absolute limit and the gate in front of it: a failure that the old version shares is not the new one's fault.

Analysis specification 1.5. The gate lets most ticks of a healthy service near its limit through; skipping every tick in
which the old version is above the limit would waste half of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW = 12
"""Ticks of the old version that count for the limit, the current one included."""
TOLERATED_RATIO = 1.25
"""How many times as often as the old version the new one may fail where that is more than its own limit."""
GATE_QUANTILE = 0.999
NORMAL_QUANTILE = 3.09
"""The same quantile of a normal distribution."""
LARGE_MEAN = 500.0
"""Above it a Poisson distribution is taken for a normal one."""


Window = Sequence[tuple[float, float]]
"""Failed and all requests of the old version, tick by tick, the latest last."""


def share_of(window: Window) -> float:
    """The old version's share of failed requests; 0 without requests."""
    total = sum([requests for _, requests in window])
    return sum([failed for failed, _ in window]) / total if total > 0 else 0.0


def limit_of(max_share: float, window: Window) -> float:
    """The share that the new version may reach now: its own limit, or a little more than the old version's share."""
    return max(max_share, TOLERATED_RATIO * share_of(window))


def is_incident(failed: float, requests: float, limit: float) -> bool:
    """Whether the old version failed more often than the limit before this tick explains: something begins just now.

    Strictly above the 99.9 % quantile of Poisson(limit x requests).
    """
    mean = limit * requests
    if failed <= mean:
        return False
    if mean > LARGE_MEAN:
        return failed > mean + NORMAL_QUANTILE * math.sqrt(mean)
    return poisson_tail(math.ceil(failed), mean) <= 1.0 - GATE_QUANTILE


def poisson_tail(count: float, mean: float) -> float:
    """The probability of at least `count`, which lies above the mean, so that the sum is short."""
    if count <= 0:
        return 1.0
    if mean <= 0 or count > mean + 100 * (1 + math.sqrt(mean)):
        return 0.0
    term = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    total = 0.0
    while term > total * 1e-17:
        total += term
        count += 1
        term *= mean / count
    return total
