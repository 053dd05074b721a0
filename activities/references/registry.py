"""The kinds of workloads whose references can be checked; of others only what their providers say is known."""

from __future__ import annotations

from activities.clusters.kubernetes.clusters import Clusters
from activities.references.kubernetes import KubernetesReferences
from activities.references.protocol import ReferenceChecks
from activities.references.registries import Registries
from activities.references.settings import RegistrySettings
from activities.registry import Registry


def reference_checks(clusters: Clusters, registries: RegistrySettings) -> Registry[ReferenceChecks]:
    """Every check of a worker with these settings, third parties' included."""
    return Registry("references", {"kubernetes": lambda: KubernetesReferences(clusters, Registries(registries))})
