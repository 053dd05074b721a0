"""Both versions over the same time: what one of them could not say waits until both can.

Counters of an instance that did not answer are not lost, they arrive with its next answer. The counts of everybody else
have to wait for it, or an incident would seem to hit only the version that answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Tick
from workflows.model.shapes import Message

LONGEST = 3
"""Ticks that may wait for each other before the weights may have changed meanwhile."""

ANCIENT = 2.0**40
"""Seconds are not counted beyond this."""


class Held(Message):
    """Counts of ticks that one version or both could not cover."""

    new: Counts = Counts()
    old: Counts = Counts()
    seconds: float = 0.0
    is_gap: bool = False
    is_shifted: bool = False
    ticks: int = 0


NOTHING = Held()


def trimmed(held: Held, edges: Iterable[float]) -> Held:
    """Without the buckets that nobody will ask for, so that waiting takes little room."""
    wanted = frozenset(edges)
    return held.model_copy(update={"new": _trimmed(held.new, wanted), "old": _trimmed(held.old, wanted)})


def _trimmed(counts: Counts, wanted: frozenset[float]) -> Counts:
    buckets = {edge: count for edge, count in counts.buckets.items() if edge in wanted}
    return counts.model_copy(update={"buckets": buckets})


class Span(NamedTuple):
    """A time that both versions cover."""

    new: Counts
    old: Counts
    seconds: float
    is_gap: bool
    is_mixed: bool
    """It is longer than a tick and the weights may have changed in it.

    Then the shares of requests and errors need not agree for a harmless version: an incident that falls into the part
    with the larger weight gives the new version more than its share of the errors.
    """
    is_warming: bool = False
    """It ended while the new version's counts were thrown away."""


def covered(held: Held, tick: Tick) -> tuple[Held, Span | None]:
    """The tick with everything that waited for it, or what waits now."""
    is_complete = not (tick.error or tick.baseline_error)
    if is_complete and not held.ticks:
        is_mixed = tick.is_gap and tick.is_shifted
        return held, Span(tick.new, tick.old, tick.seconds, tick.is_gap, is_mixed, tick.is_warming)
    joined = Held(
        new=held.new.plus(tick.new),
        old=held.old.plus(tick.old),
        seconds=min(held.seconds + tick.seconds, ANCIENT),
        is_gap=held.is_gap or tick.is_gap,
        is_shifted=held.is_shifted or tick.is_shifted,
        ticks=min(held.ticks + 1, 2**31),
    )
    if not is_complete:
        return joined, None
    is_mixed = joined.is_shifted or joined.ticks > LONGEST
    return NOTHING, Span(joined.new, joined.old, joined.seconds, joined.is_gap, is_mixed, tick.is_warming)
