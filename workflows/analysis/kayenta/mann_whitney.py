"""By how much one sample is shifted against another: the Mann-Whitney test turned around, as Kayenta and R do it.

The interval holds every shift that a two-sided test with ties and a continuity correction of 1/2 does not reject.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from workflows.analysis.kayenta.brent import zero

CONFIDENCE = 0.98
CONTINUITY = 0.5


class Shift(NamedTuple):
    """How much larger the first sample is: an interval and an estimate (Hodges and Lehmann)."""

    low: float
    high: float
    estimate: float


def shift(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Shift:
    """The shift of x against y. Two samples of one value each are shifted by their difference, with certainty.

    There Kayenta adds a little noise, to the same effect. Errors: ValueError when all values are one.
    """
    least, most = min(x) - max(y), max(x) - min(y)
    if len({*x}) == len({*y}) == 1:
        if least == 0:
            raise ValueError("all observations are tied")
        return Shift(least, least, least)
    quantile = NormalDist().inv_cdf((1.0 - confidence) / 2)
    ranks = _Ranks(x, y)

    def end(wanted: float) -> float:
        if ranks.statistic(least) <= wanted:
            return least
        if ranks.statistic(most) >= wanted:
            return most
        return zero(lambda by: ranks.statistic(by) - wanted, least, most)

    return Shift(end(-quantile), end(quantile), zero(ranks.statistic, least, most))


class _Ranks:
    """The rank statistic of x, moved by something, against y."""

    def __init__(self, x: Sequence[float], y: Sequence[float]) -> None:
        self._x = x
        self._y = sorted(y)
        self._of_y = Counter(y)

    def statistic(self, by: float) -> float:
        """(U - nm/2 -+ 1/2) / sigma, falling as x is moved down; sigma knows the ties."""
        moved = [value - by for value in self._x]
        n, m = float(len(moved)), float(len(self._y))
        wins = sum(bisect_left(self._y, value) + bisect_right(self._y, value) for value in moved) / 2
        surplus = wins - n * m / 2
        tied = self._of_y + Counter(moved)
        ties = sum(count**3 - count for count in tied.values() if count > 1)
        sigma = math.sqrt((n * m / 12) * ((n + m + 1) - ties / ((n + m) * (n + m - 1))))
        correction = math.copysign(CONTINUITY, surplus) if surplus else 0.0
        return (surplus - correction) / sigma


def common_language_effect(x: Sequence[float], y: Sequence[float]) -> float:
    """How probably a value of x is above one of y; a tie is half of it (Vargha and Delaney)."""
    ordered = sorted(y)
    wins = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in x) / 2
    return wins / (len(x) * len(y))


def mean_ratio(x: Sequence[float], y: Sequence[float]) -> float | None:
    """The mean of x over that of y; None where one of them is 0."""
    above, below = math.fsum(x) / len(x), math.fsum(y) / len(y)
    return above / below if above and below else None
