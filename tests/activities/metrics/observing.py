"""Runs observations as Temporal would: one attempt at a time, with heartbeats that the next attempt finds."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.metrics.activities import Metrics
from activities.metrics.clock import Clock
from activities.metrics.protocol import MetricsProvider, Query
from activities.registry import Registry
from activities.traffic.keeping import Keeping
from activities.traffic.null import NoRouter
from workflows.analysis.batches import Batch
from workflows.contracts.metrics import Observed, ObserveRequest
from workflows.errors import ForeignChange
from workflows.model.analysis import Metric
from workflows.model.target import Target

UNFOLLOWED = Keeping(Registry("traffic", {"envoy": NoRouter}))
"""No router that follows anything."""


def a_target(**traffic: Any) -> Target:
    return Target(
        component="trip",
        cluster="local",
        namespace="prod",
        workload={"kind": "process", "service": "trip"},
        traffic=traffic or {"kind": "envoy", "route": "trip"},
    )


def an_analysis(*metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    rule = {"rollback": "5%", "interval": "5s"}
    default = {"name": "errors", "kind": "ratio", "source": "app", "rule": rule}
    return {"metrics": list(metrics) or [default], "minRequests": 0, **fields}


def a_request(**fields: Any) -> ObserveRequest:
    given: dict[str, Any] = {
        "target": a_target(),
        "segment": 1,
        "new": ("canary",),
        "old": ("stable",),
        "analysis": an_analysis(),
        "version": "v2",
        **fields,
    }
    return ObserveRequest.model_validate(given)


async def nobody_else(_: Target) -> ForeignChange:
    """Looks out for foreign changes where there are none."""
    return await asyncio.Future()


def metrics(provider: MetricsProvider | None, clock: Clock, lookout: Any = nobody_else) -> Metrics:
    providers: dict[str, Any] = {} if provider is None else {"main": lambda: provider}
    return Metrics(Registry("metrics", providers), lookout, UNFOLLOWED, clock=lambda: clock)


class Attempts:
    """Attempts of one activity; what the last heartbeat said is what the next attempt finds."""

    def __init__(self, activities: Metrics, request: ObserveRequest, *, at: float = 0.0) -> None:
        self.activities = activities
        self.scheduled = datetime.fromtimestamp(at, UTC)
        self.request = request
        self.beats: list[Any] = []
        self._beat = asyncio.Event()
        self.environment = ActivityEnvironment()

    def start(self) -> asyncio.Task[Observed]:
        """The next attempt."""
        self.environment = ActivityEnvironment()
        details = [self.beats[-1]] if self.beats else []
        self.environment.info = dataclasses.replace(
            self.environment.info, heartbeat_details=details, scheduled_time=self.scheduled
        )
        self.environment.on_heartbeat = self._note
        return asyncio.ensure_future(self.environment.run(self.activities.observe, self.request))

    async def beaten(self, times: int) -> None:
        """Waits for so many heartbeats over all attempts."""
        while len(self.beats) < times:
            self._beat.clear()
            await self._beat.wait()

    def _note(self, details: Any) -> None:
        self.beats.append(details)
        self._beat.set()


class Script:
    """A provider that answers what a test wrote down, and then what it wrote last."""

    def __init__(self, *answers: Batch) -> None:
        self.answers = list(answers)
        self.queries: list[Query] = []
        self.fresh: list[bool] = []

    async def read(self, query: Query, *, fresh: bool = False) -> Batch:
        self.queries.append(query)
        self.fresh.append(fresh)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return dataclasses.replace(answer, at=query.clock.now())

    def objection(self, target: Target, metric: Metric) -> str:
        del target, metric
        return ""

    async def close(self) -> None:
        return None
