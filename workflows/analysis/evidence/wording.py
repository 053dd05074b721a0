"""Evidence as people read it."""

from __future__ import annotations

import math

from workflows.analysis.evidence.bets import Pair
from workflows.analysis.evidence.comparison import ERRORS
from workflows.analysis.wording import amount

_LARGEST = 1e15


def odds(log_e: float) -> str:
    """How rarely a healthy version shows as much evidence: 2,300; from Ville's inequality, never more."""
    return f"{math.floor(math.exp(min(max(log_e, 0.0), math.log(_LARGEST)))):,}"


def counted(bad: float, total: float) -> str:
    """Failed of all requests: 24 of 1,212."""
    return f"{bad:,.0f} of {total:,.0f}"


def ratio_of(pair: Pair) -> float | None:
    """How many times as often the new version failed; None where that has no meaning."""
    new, old = share(pair.new_bad, pair.new_total), share(pair.old_bad, pair.old_total)
    return None if new is None or not old else min(new / old, _LARGEST)


def share(bad: float, total: float) -> float | None:
    """The share of bad requests; None without requests."""
    return bad / total if total > 0 else None


def what_of(channel: str) -> str:
    """What happened to the requests that are counted: they failed, or took longer than an edge."""
    return "failed" if channel == ERRORS else f"took longer than {amount(float(channel), 's')}"


def compared(pair: Pair, what: str) -> str:
    """How the versions compare, by their shares: one of them serves more requests than the other."""
    if pair.new_total <= 0 or pair.old_total <= 0:
        return "nothing to compare yet"
    sides = f"{counted(pair.new_bad, pair.new_total)} against {counted(pair.old_bad, pair.old_total)}"
    return f"{_proportion(pair, what)}, {sides}"


def alone(pair: Pair, what: str) -> str:
    """The new version where there is nothing to compare it with."""
    return f"{pair.new_bad:,.0f} of the new version's {pair.new_total:,.0f} requests {what}"


def _proportion(pair: Pair, what: str) -> str:
    ratio = ratio_of(pair)
    if ratio is None:
        return (
            f"some of the new version's requests {what} and none of the old one's" if pair.new_bad else f"none {what}"
        )
    if not pair.new_bad:
        return f"none of the new version's requests {what}"
    times = two_digits(ratio)
    many = "about as many" if times == "1" else f"{times} times as many"
    return f"{many} of the new version's requests {what} as of the old one's"


def two_digits(number: float) -> str:
    """A number as precise as a sentence needs it, never with an exponent: 0.083, 1.9, 45, 1,200."""
    return f"{float(f'{number:.2g}'):,.10g}"
