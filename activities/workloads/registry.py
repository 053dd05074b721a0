"""The kinds of workloads that come with Headgate."""

from __future__ import annotations

from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.local.settings import ProcessSettings
from activities.registry import Registry
from activities.workloads.kubernetes import KubernetesWorkloads
from activities.workloads.null import NullWorkloads
from activities.workloads.process import ProcessWorkloads
from activities.workloads.protocol import WorkloadProvider


def workload_providers(process: ProcessSettings, clusters: Clusters) -> Registry[WorkloadProvider]:
    """Every workload provider of a worker with these settings, third parties' included."""
    return Registry(
        "workloads",
        {
            "process": lambda: ProcessWorkloads(process),
            "kubernetes": lambda: KubernetesWorkloads(clusters),
            "null": NullWorkloads,
        },
    )
