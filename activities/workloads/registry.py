"""The kinds of workloads that come with Headgate."""

from __future__ import annotations

from activities.clusters.local.settings import ProcessSettings
from activities.registry import Registry
from activities.workloads.null import NullWorkloads
from activities.workloads.process import ProcessWorkloads
from activities.workloads.protocol import WorkloadProvider


def workload_providers(process: ProcessSettings) -> Registry[WorkloadProvider]:
    """Every workload provider of a worker with these settings, third parties' included."""
    return Registry(
        "workloads",
        {
            "process": lambda: ProcessWorkloads(process),
            "null": NullWorkloads,
        },
    )
