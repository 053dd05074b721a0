"""No metrics: every question has an answer without data, so a release that needs some is held, never passed."""

from __future__ import annotations

from typing import Literal

from activities.metrics.protocol import Query
from activities.settings import SettingsModel
from workflows.analysis.arms import source_of
from workflows.analysis.batches import Batch, Missing
from workflows.model.analysis import Metric
from workflows.model.target import Target


class NullMetricsSettings(SettingsModel):
    """Settings of the provider that knows nothing."""

    kind: Literal["null"] = "null"


class NullMetrics:
    """Reads nothing and says so."""

    async def read(self, query: Query, *, fresh: bool = False) -> Batch:
        del fresh
        sources = dict.fromkeys(source_of(metric) for metric in query.metrics)
        message = "the metrics provider of this worker is null"
        missing = tuple(Missing(source, slot, message) for source in sources for slot in query.slots)
        return Batch(query.clock.now(), (), missing)

    def objection(self, target: Target, metric: Metric) -> str:
        del target, metric
        return ""

    async def close(self) -> None:
        return None
