"""A source: a set of queries that knows where the series of a metric are and what they are called there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from activities.metrics.protocol import Query
from workflows.analysis.batches import Missing, Unit
from workflows.model.analysis import Metric
from workflows.model.target import Target


class Answers(NamedTuple):
    """What a source found out."""

    units: list[Unit]
    missing: list[Missing]


class Source(Protocol):
    """One data plane's view of requests, or the applications' own."""

    @property
    def name(self) -> str:
        """As metrics write it in `source`."""
        ...

    def objection(self, target: Target, metric: Metric) -> str:
        """As `MetricsProvider.objection`."""
        ...

    async def read(self, query: Query, metrics: Sequence[Metric], *, max_age: float) -> Answers:
        """The counters of these metrics for every slot; what does not answer is reported, not raised."""
        ...
