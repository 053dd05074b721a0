"""How much worse, and how sure: intervals that hold at every look (analysis specification 1.8).

They invert likelihood mixtures without clusters: requests have to be independent, and whoever shows them says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from workflows.analysis.evidence.bets import Pair

_STEPS = 10
_DECADES = 3
LOG_RATIOS = tuple(math.log(10) * j / _STEPS for j in range(-_DECADES * _STEPS, _DECADES * _STEPS + 1))
"""Relative risks from a thousandth to a thousand, as logarithms."""
_LIFTS = tuple(math.expm1(x) for x in LOG_RATIOS)

_DIGITS = 4
"""Of the sums behind an interval; more would only make the state larger."""

_PRECISE = 1e13
"""Beyond so many requests the log-gamma function loses the digits that matter; fewer only widen an interval."""


class Interval(NamedTuple):
    """From and to; an end of None is open."""

    low: float
    high: float | None


def offsets_after(offsets: tuple[float, ...], pair: Pair) -> tuple[float, ...]:
    """The sums over ticks of m ln(1 + (ratio - 1) w), for each ratio of the grid; empty stands for zeros."""
    errors = pair.new_bad + pair.old_bad
    if errors <= 0:
        return offsets
    weight = pair.new_total / (pair.new_total + pair.old_total)
    before = offsets if len(offsets) == len(_LIFTS) else (0.0,) * len(_LIFTS)
    return tuple(
        [round(total + errors * math.log1p(lift * weight), _DIGITS) for total, lift in zip(before, _LIFTS, strict=True)]
    )


def ratio_interval(hits: float, offsets: tuple[float, ...], alpha: float) -> Interval | None:
    """The relative risks that the data do not rule out; None before the first error.

    All rho with lse_j[l(rho_j) - ln J] - l(rho) < ln(1/alpha), where l(rho) = hits ln rho - offset(rho) is concave in
    ln rho and known on the grid; between its points a parabola stands for it.
    """
    if len(offsets) != len(LOG_RATIOS):
        return None
    logs = tuple(hits * x - offset for x, offset in zip(LOG_RATIOS, offsets, strict=True))
    floor = log_mean(logs) + math.log(alpha)
    inside = [j for j, value in enumerate(logs) if value > floor]
    if not inside:  # Only where so many errors were counted that floating point has no digits left.
        return Interval(0.0, None)
    first, last = inside[0], inside[-1]
    low = 0.0 if first == 0 else math.exp(_crossing(logs, first - 1, first, floor))
    high = None if last == len(logs) - 1 else math.exp(_crossing(logs, last + 1, last, floor))
    return Interval(low, high)


def log_mean(logs: Sequence[float]) -> float:
    """The logarithm of a mean, of whose members logarithms are known."""
    largest = max(logs)
    return largest + math.log(sum(math.exp(each - largest) for each in logs) / len(logs))


def _crossing(logs: tuple[float, ...], outside: int, inside: int, floor: float) -> float:
    """Where the likelihood between two points of the grid falls to the floor."""
    beyond = 2 * inside - outside
    points = [j for j in (outside, inside, beyond) if 0 <= j < len(logs)]
    curve = _through([(float(j), logs[j]) for j in points])
    return LOG_RATIOS[outside] + (LOG_RATIOS[inside] - LOG_RATIOS[outside]) * _bisected(
        lambda part: curve(outside + (inside - outside) * part) - floor
    )


def _through(points: list[tuple[float, float]]) -> Callable[[float], float]:
    """The parabola through three points, or the line through two (Lagrange)."""

    def curve(x: float) -> float:
        return sum(y * math.prod((x - other) / (at - other) for other, _ in points if other != at) for at, y in points)

    return curve


def _bisected(rising: Callable[[float], float]) -> float:
    """Where a function that is negative at 0 and positive at 1 changes its sign."""
    low, high = 0.0, 1.0
    for _ in range(45):
        middle = (low + high) / 2
        if rising(middle) > 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def share_interval(bad: float, total: float, alpha: float) -> Interval:
    """The shares that one version's counts do not rule out: a Beta(1/2, 1/2) mixture of likelihoods."""
    if total <= 0:
        return Interval(0.0, 1.0)
    if total > _PRECISE:
        bad, total = bad * (_PRECISE / total), _PRECISE
    bad = min(bad, total)
    good = total - bad
    mixed = math.lgamma(bad + 0.5) + math.lgamma(good + 0.5) - math.lgamma(total + 1.0) - math.log(math.pi)
    room = math.log(1.0 / alpha) - mixed

    def ruled_out(share: float) -> float:
        if not 0.0 < share < 1.0:
            return math.inf if (bad if share <= 0 else good) > 0 else -room
        return -bad * math.log(share) - good * math.log1p(-share) - room

    best = bad / total
    low = best * _bisected(lambda part: -ruled_out(best * part)) if bad > 0 else 0.0
    high = 1.0 - (1.0 - best) * _bisected(lambda part: -ruled_out(1.0 - (1.0 - best) * part)) if good > 0 else 1.0
    return Interval(low, high)


def difference_interval(pair: Pair, alpha: float) -> Interval:
    """How much larger the new version's share may be: half of alpha for each version's share."""
    new = share_interval(pair.new_bad, pair.new_total, alpha / 2)
    old = share_interval(pair.old_bad, pair.old_total, alpha / 2)
    return Interval(new.low - (old.high or 0.0), (new.high or 0.0) - old.low)
