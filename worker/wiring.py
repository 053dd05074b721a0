"""The only composition root: every provider is made here, and every contract gets its one implementation here.

Nothing else in Headgate decides which class does a job; a test compares what is wired with the contracts there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.client import Client

from activities.boundary import Activity, implement
from activities.clusters.envoy.bootstrap import write_bootstrap
from activities.targets.activities import Targets
from activities.traffic.activities import Traffic
from activities.traffic.registry import traffic_routers
from activities.workloads.activities import Workloads
from activities.workloads.registry import workload_providers
from worker.probe import TemporalRuns
from worker.settings import Settings
from workflows.contracts.targets import MarkFound, TargetActivities
from workflows.contracts.traffic import TrafficActivities
from workflows.contracts.workloads import WorkloadActivities
from workflows.janitor import Janitor
from workflows.release import Release
from workflows.rollback import Rollback
from workflows.rollout import Rollout


@dataclass(frozen=True)
class Wired:
    """What a worker does, ready to be registered."""

    regular: list[Activity]
    observers: list[Activity]
    """`metrics.observe`, which has a queue of its own."""
    find_marks: Callable[[], Awaitable[list[MarkFound]]]
    background: list[Callable[[], Awaitable[None]]]
    """Duties that last as long as the worker."""


def workflow_classes() -> list[type]:
    """Every workflow that workers run."""
    return [Release, Rollout, Rollback, Janitor]


def wire(settings: Settings, client: Client) -> Wired:
    """Makes every provider that the settings name, and the files that an Envoy starts from; opens no connection.

    Errors: SpecError.
    """
    if settings.envoy:
        write_bootstrap(settings.envoy, settings.process.clusters)
    workloads = workload_providers(settings.process)
    routers = traffic_routers(settings.envoy)
    targets = Targets(workloads, routers, TemporalRuns(client))
    return Wired(
        regular=[
            *implement(TargetActivities, targets),
            *implement(WorkloadActivities, Workloads(workloads)),
            *implement(TrafficActivities, Traffic(routers, workloads)),
        ],
        observers=[],
        find_marks=targets.find_marks,
        background=[],
    )
