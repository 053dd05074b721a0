"""What a metrics provider hands over: raw counters per series, as they were read at one moment.

Providers never difference, sum or judge; that happens here, where it can be repeated from a recorded state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workflows.model.target import Slot

TOTAL = "total"
"""Channel of a ratio: all requests."""
BAD = "bad"
"""Channel of a ratio: the failed ones."""
INFINITY = "+Inf"
"""Channel of a histogram: all requests; the other channels are the edges in seconds, as text."""

Channels = Mapping[str, Mapping[str, float]]
"""Cumulative values by channel and series."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One process's answer about one slot: what it counted since it started."""

    id: str
    """The same for every answer of one process about one slot, and for nothing else."""
    slot: Slot
    source: str
    """Which of the metrics' sources it belongs to."""
    counters: Mapping[str, Channels]
    """By metric; series are named shortly, because the last ones travel in heartbeats."""
    gauges: Mapping[str, tuple[float, ...]]
    """Values of all series by metric."""
    started: float | None = None
    """When the process started, by its own clock."""
    is_complete: bool = False
    """Every answer lists all series the process has, so one that is new was born since the last answer."""
    before: Mapping[str, Channels] | None = None
    """What the counters were at the batch's `since`; None where the process was not there, or nobody knows."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that should have answered and did not."""

    source: str
    slot: Slot
    message: str
    """One sentence; never a secret."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything read at one moment."""

    at: float
    """Seconds of a clock that never jumps while a process lives."""
    units: tuple[Unit, ...] = ()
    missing: tuple[Missing, ...] = ()
    since: float | None = None
    """Where the units themselves say what was `before`, as a store that remembers can; else it is the batch before."""
