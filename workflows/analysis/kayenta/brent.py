"""Where a function crosses zero, by Brent's method as R's `zeroin` and Kayenta walk it.

Rank statistics are steps, so the answer depends on the way to it, and only the same walk gives the same answer. R. P.
Brent, Algorithms for Minimization without Derivatives, 1973, chapter 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TOLERANCE = 1e-4
_EPSILON = 2.220446049250313e-16
_MOST = 1000


@dataclass(slots=True)
class _Bracket:
    """The zero lies between `here`, the best guess, and `across`; `before` is the guess before."""

    before: float
    here: float
    across: float
    f_before: float
    f_here: float
    f_across: float

    def ordered(self) -> None:
        """Makes `here` the end whose value is the smaller one."""
        if abs(self.f_across) < abs(self.f_here):
            self.before, self.here, self.across = self.here, self.across, self.here
            self.f_before, self.f_here, self.f_across = self.f_here, self.f_across, self.f_here

    def moved(self, step: float, function: Callable[[float], float]) -> None:
        """Takes a step and keeps the zero between the ends."""
        self.before, self.f_before = self.here, self.f_here
        self.here += step
        self.f_here = function(self.here)
        if self.f_here * self.f_across > 0:
            self.across, self.f_across = self.before, self.f_before


def zero(function: Callable[[float], float], low: float, high: float, *, tolerance: float = TOLERANCE) -> float:
    """The zero between `low` and `high`, where the function must have different signs, within an absolute tolerance."""
    f_low, f_high = function(low), function(high)
    if f_low == 0:
        return low
    at = _Bracket(low, high, low, f_low, f_high, f_low)
    for _ in range(_MOST):
        last = at.here - at.before
        at.ordered()
        least = 2 * _EPSILON * abs(at.here) + tolerance / 2
        half = (at.across - at.here) / 2
        if abs(half) <= least or at.f_here == 0:
            break
        step = _interpolated(at, last, least) if abs(last) >= least and abs(at.f_before) > abs(at.f_here) else None
        step = half if step is None else step
        at.moved(step if abs(step) >= least else (least if step > 0 else -least), function)
    return at.here


def _interpolated(at: _Bracket, last: float, least: float) -> float | None:
    """Linear or inverse quadratic interpolation; None where it leads too far or too slowly."""
    width, ratio = at.across - at.here, at.f_here / at.f_before
    if at.before == at.across:
        p, q = width * ratio, 1.0 - ratio
    else:
        q, t = at.f_before / at.f_across, at.f_here / at.f_across
        p = ratio * (width * q * (q - t) - (at.here - at.before) * (t - 1.0))
        q = (q - 1.0) * (t - 1.0) * (ratio - 1.0)
    p, q = (p, -q) if p > 0 else (-p, q)
    is_good = p < 0.75 * width * q - abs(least * q) / 2 and p < abs(last * q / 2)
    return p / q if is_good else None
