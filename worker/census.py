"""What is true of all releases now, read from the world and from Temporal, so that any worker can tell it of any other.

A gauge kept by the worker that does the work would freeze or vanish with that worker, just when it matters. So each
worker asks for itself: the marks on the targets say what is being changed, and the server knows when an observer last
gave a sign of life. Nothing is read unless somebody scrapes, and then at most every ten seconds; between two readings
ages go on growing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from worker.measures import APPROVALS, CENSUS_AGE, OBSERVATION_AGE, ORPHANS, RUNNING, WEIGHT, Measure, environment_of
from workflows.contracts.targets import MarkFound
from workflows.engine.visibility import NAME, PHASE, WAITING_FOR
from workflows.engine.visibility import WEIGHT as WEIGHT_KEY
from workflows.model.status import Phase
from workflows.model.target import Mark

logger = logging.getLogger(__name__)

FRESH = timedelta(seconds=10)
PATIENCE = 5.0
"""Seconds for one reading; a scrape must not wait for a server that is down."""
AT_A_TIME = 10
RPC = timedelta(seconds=3)

GUARDED: frozenset[Phase] = frozenset({"Shifting", "Observing", "Paused", "Promoting", "Watching"})
"""Phases of a component in which users can reach the new version."""

_Labels = tuple[str, ...]
_Now = Callable[[], datetime]
_FindMarks = Callable[[], Awaitable[list[MarkFound]]]


@dataclass(frozen=True)
class Component:
    """One marked target."""

    labels: _Labels
    seen: datetime | None
    """The observer's last sign of life; None while no observation is needed."""


@dataclass(frozen=True)
class Reading:
    """Everything one round found."""

    at: datetime
    components: tuple[Component, ...] = ()
    weights: dict[_Labels, float] = field(default_factory=dict)
    releases: Counter[_Labels] = field(default_factory=Counter)
    approvals: Counter[_Labels] = field(default_factory=Counter)
    orphans: Counter[_Labels] = field(default_factory=Counter)


class Census(Collector):
    """Reads at most every ten seconds and exports what it read last."""

    def __init__(self, client: Client, find_marks: _FindMarks, *, now: _Now = lambda: datetime.now(UTC)) -> None:
        self._client = client
        self._find_marks = find_marks
        self._now = now
        self._reading = Reading(now())
        self._seen: dict[_Labels, datetime] = {}
        self._lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._due = now()
        self._failure = ""

    async def refresh(self) -> None:
        """Reads again when the last reading is old; a failure keeps it, and its age tells."""
        async with self._lock:
            if self._now() < self._due:
                return
            self._due = self._now() + FRESH
            try:
                async with asyncio.timeout(PATIENCE):
                    self._reading = await self._read()
                failure = ""
            except Exception as error:  # noqa: BLE001 - whatever is wrong, the other metrics must still be served.
                failure = str(error) or f"no answer in time ({type(error).__name__})"
            if failure != self._failure:
                logger.warning("metrics of running releases are old: %s", failure) if failure else logger.info(
                    "metrics of running releases are fresh again"
                )
                self._failure = failure

    def collect(self) -> Iterator[GaugeMetricFamily]:
        reading, now = self._reading, self._now()
        yield _family(RUNNING, reading.releases)
        yield _family(APPROVALS, reading.approvals)
        yield _family(ORPHANS, reading.orphans)
        yield _family(WEIGHT, reading.weights)
        ages = {c.labels: _seconds(now - c.seen) for c in reading.components if c.seen}
        yield _family(OBSERVATION_AGE, ages)
        yield _family(CENSUS_AGE, {(): _seconds(now - reading.at)})

    async def _read(self) -> Reading:
        at = self._now()
        marks = await self._find_marks()
        components = tuple(await asyncio.gather(*(self._look(found.mark) for found in marks)))
        reading = Reading(at, components)
        reading.orphans.update((found.mark.release.environment,) for found in marks if found.orphaned)
        async for release in self._client.list_workflows('WorkflowType = "Release" AND ExecutionStatus = "Running"'):
            _count(reading, release)
        self._seen = {c.labels: c.seen for c in components if c.seen}
        return reading

    async def _look(self, mark: Mark) -> Component:
        labels = (mark.release.environment, mark.release.name, mark.target.component)
        async with self._slots:
            run = await self._describe(mark.target.rollout_id)
        if run is None:
            return Component(labels, self._seen.get(labels, mark.marked_at))
        sign = _last_sign(run)
        if sign is None and run.typed_search_attributes.get(PHASE) in GUARDED:
            # Between two segments nobody observes for a moment; whether it is more than that, the next readings tell.
            sign = self._seen.get(labels, self._now())
        return Component(labels, sign)

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        """The open Rollout of a target; None when there is none, so that nobody can be observing."""
        try:
            description = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return description if description.status is WorkflowExecutionStatus.RUNNING else None


def _count(reading: Reading, release: WorkflowExecution) -> None:
    environment, attributes = environment_of(release.id), release.typed_search_attributes
    reading.releases[environment, attributes.get(PHASE) or "Pending"] += 1
    reading.approvals[environment,] += attributes.get(WAITING_FOR) == "ApprovalWanted"
    reading.weights[environment, attributes.get(NAME) or release.id] = attributes.get(WEIGHT_KEY) or 0.0


def _last_sign(run: WorkflowExecutionDescription) -> datetime | None:
    """The newest heartbeat of an observation; before the first one, when it was asked for.

    The server keeps the time of the last heartbeat while the next attempt waits for a worker (measured on 1.29.1).
    """
    signs = [
        _time(pending.last_heartbeat_time) or _time(pending.scheduled_time)
        for pending in run.raw_description.pending_activities
        if pending.activity_type.name == "metrics.observe"
    ]
    return max((sign for sign in signs if sign), default=None)


def _time(stamp: Timestamp) -> datetime | None:
    return stamp.ToDatetime(UTC) if stamp.seconds else None


def _family(measure: Measure, values: dict[_Labels, float] | Counter[_Labels]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(measure.name, measure.help, labels=measure.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, float(value))
    return family


def _seconds(age: timedelta) -> float:
    return max(age.total_seconds(), 0.0)
