"""What a metrics provider implements: raw counters of both versions, read at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from activities.metrics.clock import Clock
from workflows.analysis.batches import Batch
from workflows.model.analysis import Metric
from workflows.model.series import Matcher
from workflows.model.target import Slot, Target


@dataclass(frozen=True)
class Query:
    """What one observation asks at every tick."""

    target: Target
    metrics: tuple[Metric, ...]
    new: tuple[Slot, ...]
    """Slots that run the new version."""
    old: tuple[Slot, ...]
    version: str
    """The new version's name, where a source can tell versions inside one slot apart."""
    clock: Clock
    """Stamps the batch, unless the store has a clock of its own."""
    max_age: float
    """Seconds that an answer given to another observation may be old."""
    arms: Mapping[Slot, tuple[Matcher, ...]] = field(default_factory=dict)
    """Conditions on the labels of a slot's series, in place of those that follow from its target."""

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Every slot of interest, the new version's first."""
        return tuple(dict.fromkeys((*self.new, *self.old)))


class MetricsProvider(Protocol):
    """Reads counters; it never differences, sums or judges them."""

    async def read(self, query: Query, *, fresh: bool = False) -> Batch:
        """Everything the metrics need, now; with `fresh` nothing that was read before.

        An answer that does not come is part of the batch (`missing`), never an exception: no data is not an error.
        """
        ...

    def objection(self, target: Target, metric: Metric) -> str:
        """Why this metric of this target can never be read, with the remedy; empty where it can. Asks nobody."""
        ...

    async def close(self) -> None:
        """Gives connections back; idempotent."""
        ...


@runtime_checkable
class Store(MetricsProvider, Protocol):
    """A provider that remembers: it says what happened in a time that is over, the same whenever it is asked."""

    @property
    def resolution(self) -> float:
        """Seconds between two values of a counter; a tick is never shorter."""
        ...

    async def settled(self, clock: Clock) -> float:
        """The moment up to which nothing will be added any more. Errors: ProviderError."""
        ...

    async def read_between(self, query: Query, *, since: float, until: float) -> Batch:
        """What was counted in this time, with what the counters were before. Errors: ProviderError; then ask again."""
        ...
