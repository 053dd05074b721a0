"""Latency as failures: "slower than an edge" is the error, once for each usable edge (analysis specification 1.7).

Edges are chosen from what the old version did in earlier ticks and then stay, so the choice cannot follow what is
judged.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from workflows.analysis.evidence.bets import Pair
from workflows.analysis.samples import Counts

LOWEST_SHARE = 0.0005
HIGHEST_SHARE = 0.6
"""Between these the old version's share of slower requests must lie."""
FEWEST = 2
"""A histogram with fewer usable edges says too little to decide."""
MOST = 4
"""More add nothing but time and state; those used are spread over the usable ones."""
HISTORY = 500
"""Requests of the old version from which edges can be chosen."""


class Edges(NamedTuple):
    """The edges that are bet on, and the one that is shown."""

    all: tuple[float, ...] = ()
    main: float = 0.0


def usable_edges(history: Counts, quantile: float) -> Edges:
    """The edges that tell fast from slow, at most `MOST`; none before there is enough history.

    The one nearest to the quantile that the metric names is always among them, and intervals are shown of it.
    """
    if history.total < HISTORY:
        return Edges()
    slower = {edge: (history.total - count) / history.total for edge, count in sorted(history.buckets.items())}
    found = [edge for edge, share in slower.items() if LOWEST_SHARE <= share <= HIGHEST_SHARE]
    if not found:
        return Edges()
    wanted = math.log(max(1.0 - quantile, LOWEST_SHARE))
    main = min(found, key=lambda edge: abs(math.log(slower[edge]) - wanted))
    return Edges(_thinned(found, main), main)


def _thinned(edges: list[float], main: float) -> tuple[float, ...]:
    """Evenly spread ones, the main one in place of its nearest neighbour."""
    if len(edges) <= MOST:
        return tuple(edges)
    places = [round(i * (len(edges) - 1) / (MOST - 1)) for i in range(MOST)]
    at = edges.index(main)
    nearest = min(range(MOST), key=lambda i: abs(places[i] - at))
    places[nearest] = at
    return tuple(edges[place] for place in places)


def edge_at(limit: float, new: Counts, old: Counts) -> float | None:
    """The edge that stands for an absolute limit: the first one not below it, so that what is slower is too slow."""
    served = [arm.buckets for arm in (new, old) if arm.total > 0] or [new.buckets]
    shared = [edge for edge in served[0] if all(edge in buckets for buckets in served)]
    return min((edge for edge in shared if edge >= limit * (1 - 1e-9)), default=None)


def slower_than(edge: float, new: Counts, old: Counts) -> Pair | None:
    """Requests slower than the edge; None when a version does not have it."""
    if any(arm.total > 0 and edge not in arm.buckets for arm in (new, old)):
        return None
    return Pair(new.total - new.buckets.get(edge, 0.0), new.total, old.total - old.buckets.get(edge, 0.0), old.total)


def failed(new: Counts, old: Counts) -> Pair:
    """Failed requests of both versions."""
    return Pair(new.bad, new.total, old.bad, old.total)
