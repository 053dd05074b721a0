"""The `headgate_*` metrics: one table of what exists, and the part that workflows' ends tell.

Counters and durations go through Temporal's replay-safe meter, so replaying a history counts nothing twice; a workflow
task that is executed again after a crash may. What is true of the world now is in `census.py`.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from workflows.engine.visibility import ENVIRONMENT, PHASE
from workflows.model.status import Outcome


class Measure(NamedTuple):
    """One metric as it is exported and documented."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    labels: tuple[str, ...]
    help: str


RELEASES = Measure(
    "headgate_releases_total",
    "counter",
    ("environment", "outcome"),
    "Releases that ended on this worker: Succeeded, RolledBack, Aborted, Rejected, Failed, Canceled or BadSpec.",
)
DURATION = Measure(
    "headgate_release_duration_seconds",
    "histogram",
    ("environment", "outcome"),
    "Seconds from the start of a release to its end, approvals and windows included.",
)
ROLLBACK = Measure(
    "headgate_rollback_seconds",
    "histogram",
    ("environment",),
    "Seconds from the moment an undo takes a target to the moment everything on it is restored, the removal of the new "
    "version included.",
)
RUNNING = Measure(
    "headgate_releases_running", "gauge", ("environment", "phase"), "Releases that are open now, by phase."
)
APPROVALS = Measure("headgate_approvals_open", "gauge", ("environment",), "Releases that wait for an approval now.")
WEIGHT = Measure(
    "headgate_weight",
    "gauge",
    ("environment", "release"),
    "Percent of users' requests that reach the version being released, last verified; of a group the lowest.",
)
OBSERVATION_AGE = Measure(
    "headgate_last_observation_age_seconds",
    "gauge",
    ("environment", "release", "component"),
    "Seconds since any worker's observer last gave a sign of life, for every component whose new version users can "
    "reach. Above 60: nobody observes.",
)
ORPHANS = Measure(
    "headgate_targets_orphaned",
    "gauge",
    ("environment",),
    "Targets that a lost release left changed and nobody has settled yet.",
)
CENSUS_AGE = Measure(
    "headgate_census_age_seconds",
    "gauge",
    (),
    "Seconds since the running releases, weights and marks were last read; it grows while Temporal does not answer.",
)
KUBERNETES_CALLS = Measure(
    "headgate_kubernetes_calls_total",
    "counter",
    ("cluster", "verb", "resource"),
    "Calls of this worker to the API server of each cluster; a watch is one call.",
)
KUBERNETES_WAITED = Measure(
    "headgate_kubernetes_wait_seconds_total",
    "counter",
    ("cluster", "lane"),
    "Seconds that calls waited for their turn under callsPerSecond, all together; of undos, of observers, and regular.",
)
UNREAD = Measure(
    "headgate_marks_unread",
    "gauge",
    ("cluster", "namespace"),
    "1 where this worker could not read the marks of a namespace when it tried last, 0 where it could; without a "
    "namespace, of all of them. What is released there is missing in the other gauges.",
)
READY = Measure("headgate_worker_ready", "gauge", (), "1 while this worker takes work, 0 while it starts or drains.")

MEASURES: tuple[Measure, ...] = (
    RELEASES,
    DURATION,
    ROLLBACK,
    RUNNING,
    APPROVALS,
    WEIGHT,
    OBSERVATION_AGE,
    ORPHANS,
    CENSUS_AGE,
    KUBERNETES_CALLS,
    KUBERNETES_WAITED,
    UNREAD,
    READY,
)
"""Every metric of ours, in the order of docs/reference/metrics.md."""

BUCKETS: dict[str, list[float]] = {
    DURATION.name: [1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400],
    ROLLBACK.name: [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600],
}

OUTCOMES = (*get_args(Outcome), "Canceled", "BadSpec")
_ENDED = frozenset(get_args(Outcome))


class MeasureInterceptor(Interceptor):
    """Counts releases as they end and times undos."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 (SDK's name)
    ) -> type[WorkflowInboundInterceptor]:
        return _Measured


class _Measured(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_UndoClock(outbound))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        if workflow.info().workflow_type != "Release":
            return await super().execute_workflow(input)
        try:
            result = await super().execute_workflow(input)
        except ApplicationError as error:
            _release_ended(error.type or "")
            raise
        except asyncio.CancelledError:
            # An eviction looks the same from here, but it does not find the release at its end.
            if workflow.info().typed_search_attributes.get(PHASE) in _ENDED:
                _release_ended("Canceled")
            raise
        _release_ended("Succeeded")
        return result


class _UndoClock(WorkflowOutboundInterceptor):
    """Runs from the moment an undo takes the target until it asks to settle it."""

    _started: datetime | None = None

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        if input.activity == "targets.acquire":
            self._started = self._started or workflow.now()
        elif input.activity == "targets.settle" and self._started:
            environment = workflow.info().typed_search_attributes.get(ENVIRONMENT) or "unknown"
            _record(ROLLBACK, workflow.now() - self._started, environment=environment)
            self._started = None
        return super().start_activity(input)


def _release_ended(reason: str) -> None:
    outcome = reason if reason in OUTCOMES else "Failed"
    info = workflow.info()
    environment = environment_of(info.workflow_id)
    labels = {"environment": environment, "outcome": outcome}
    workflow.metric_meter().create_counter(RELEASES.name, RELEASES.help).add(1, labels)
    _record(DURATION, workflow.now() - info.workflow_start_time, **labels)


def _record(measure: Measure, duration: timedelta, **labels: str) -> None:
    histogram = workflow.metric_meter().create_histogram_float(measure.name, measure.help)
    histogram.record(duration.total_seconds(), labels)


def environment_of(release_id: str) -> str:
    """The environment in `release/<environment>/<name>`."""
    parts = release_id.split("/")
    return parts[1] if len(parts) == 3 else "unknown"
