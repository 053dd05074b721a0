"""The only composition root: every provider is made here, and every contract gets its one implementation here.

Nothing else in Headgate decides which class does a job; a test compares what is wired with the contracts there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from prometheus_client.registry import Collector
from temporalio.client import Client

from activities.audit.activities import Audit
from activities.audit.registry import audit_sinks
from activities.boundary import Activity, implement
from activities.checks.activities import Checks
from activities.checks.registry import check_providers
from activities.clusters.envoy.bootstrap import write_bootstrap
from activities.clusters.kubernetes.clusters import Clusters
from activities.endpoints import WorkloadEndpoints
from activities.foreign import Lookout
from activities.gitops.argo_cd import ArgoCd
from activities.journal.activities import Journal
from activities.metrics.activities import Metrics
from activities.metrics.objections import objections
from activities.metrics.openmetrics import OpenMetricsSettings
from activities.metrics.registry import MetricsSettings, metrics_providers
from activities.notifications.activities import Notifications
from activities.notifications.registry import channels
from activities.planning.activities import Planner
from activities.references.activities import References
from activities.references.registry import reference_checks
from activities.targets.activities import Targets
from activities.traffic.activities import Traffic
from activities.traffic.keeping import Keeping
from activities.traffic.registry import traffic_routers
from activities.watched import WatchedEndpoints
from activities.workers.activities import Workers
from activities.workloads.activities import Workloads
from activities.workloads.registry import workload_providers
from worker.calls import KubernetesCalls
from worker.probe import TemporalRuns
from worker.settings import Settings
from worker.sources import read_yaml
from worker.telemetry import headgate_version
from workflows.contracts.audit import AuditActivities
from workflows.contracts.checks import CheckActivities
from workflows.contracts.journal import JournalActivities
from workflows.contracts.metrics import MetricActivities
from workflows.contracts.notifications import NotificationActivities
from workflows.contracts.planning import PlanningActivities
from workflows.contracts.references import ReferenceActivities
from workflows.contracts.targets import MarkFound, TargetActivities
from workflows.contracts.traffic import TrafficActivities
from workflows.contracts.workers import CONTRACT, Introduction, WorkerActivities
from workflows.contracts.workloads import WorkloadActivities
from workflows.errors import PermanentError, Problem, SpecError
from workflows.inquiry import Inquiry
from workflows.janitor import Janitor
from workflows.model.documents import parse_policy
from workflows.model.policy import Policy
from workflows.model.release import API_VERSION
from workflows.release import Release
from workflows.rollback import Rollback
from workflows.rollout import Rollout


class Closable(Protocol):
    """Holds connections."""

    async def close(self) -> None:
        """Gives them back; idempotent."""
        ...


@runtime_checkable
class Keeper(Protocol):
    """A provider with something to do between activities."""

    async def keep(self) -> None:
        """Does it until cancelled."""
        ...


@dataclass(frozen=True)
class Wired:
    """What a worker does, ready to be registered."""

    regular: list[Activity]
    observers: list[Activity]
    """What reads metrics; it has a queue of its own."""
    find_marks: Callable[[], Awaitable[list[MarkFound]]]
    background: list[Callable[[], Awaitable[None]]]
    """Duties that last as long as the worker."""
    collectors: list[Collector]
    """Metrics of the providers."""
    providers: list[Closable]
    """What holds connections until the end."""


def workflow_classes() -> list[type]:
    """Every workflow that workers run."""
    return [Release, Rollout, Rollback, Janitor, Inquiry]


def wire(settings: Settings, policy: Policy, client: Client) -> Wired:
    """Makes every provider that the settings name, and the files that an Envoy starts from; opens no connection.

    Errors: SpecError when a provider cannot work with its settings.
    """
    try:
        return _wire(settings, policy, client)
    except PermanentError as error:
        raise SpecError([Problem("settings", str(error))]) from error


def _wire(settings: Settings, policy: Policy, client: Client) -> Wired:
    if settings.envoy:
        write_bootstrap(settings.envoy, settings.process.clusters)
    clusters = Clusters(settings.kubernetes)
    workloads = workload_providers(settings.process, clusters)
    routers = traffic_routers(settings.envoy, clusters)
    endpoints = WorkloadEndpoints(workloads)
    watched = WatchedEndpoints(endpoints, workloads)
    metrics = metrics_providers(_metrics(settings), watched)
    checks, people, sinks = check_providers(), channels(settings.notifications), audit_sinks(settings.audit)
    audit = Audit(sinks)
    keeping, lookout = Keeping(routers), Lookout(workloads, routers)
    gitops, checked = ArgoCd(clusters), reference_checks(clusters, settings.registries)
    targets = Targets(workloads, routers, TemporalRuns(client), gitops)
    references = References(workloads, routers, checked, targets.find_marks, gitops)
    return Wired(
        regular=[
            *implement(TargetActivities, targets),
            *implement(WorkloadActivities, Workloads(workloads, keeping)),
            *implement(TrafficActivities, Traffic(routers, workloads)),
            *implement(PlanningActivities, Planner(policy, clusters.queues, partial(objections, metrics))),
            *implement(ReferenceActivities, references),
            *implement(WorkerActivities, Workers(_introduction(clusters))),
            *implement(CheckActivities, Checks(checks, endpoints)),
            *implement(NotificationActivities, Notifications(people)),
            *implement(AuditActivities, audit),
            *implement(JournalActivities, Journal(audit, people)),
        ],
        observers=implement(MetricActivities, Metrics(metrics, lookout.first, keeping)),
        find_marks=targets.find_marks,
        background=[provider.keep for provider in workloads if isinstance(provider, Keeper)],
        collectors=[KubernetesCalls(clusters)],
        providers=[*metrics, *checks, *people, *sinks, watched, lookout, clusters],
    )


def _introduction(clusters: Clusters) -> Introduction:
    return Introduction(
        contract=CONTRACT,
        version=headgate_version(),
        clusters=clusters.aliases,
        queues=tuple(sorted(set(clusters.queues.values()))),
        reached=dict(clusters.queues),
    )


def read_policy(file: Path | None) -> Policy:
    """The platform team's policy; without a file one that knows no environment. Errors: SpecError."""
    if file is None:
        return Policy.model_validate({"apiVersion": API_VERSION, "kind": "Policy", "spec": {"environments": {}}})
    try:
        return parse_policy(read_yaml(file))
    except SpecError as error:
        raise SpecError([replace(problem, path=f"{file}: {problem.path}") for problem in error.problems]) from error


def _metrics(settings: Settings) -> dict[str, MetricsSettings]:
    """The named providers; where none is, `main` scrapes the Envoy that this worker writes for."""
    admin = (settings.envoy.admin,) if settings.envoy else ()
    return settings.metrics or {"main": OpenMetricsSettings(envoys=admin)}
