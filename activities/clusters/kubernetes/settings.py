"""Settings of the Kubernetes clusters that a worker reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from activities.settings import SettingsModel
from workflows.model.shapes import Name


class KubernetesCluster(SettingsModel):
    """How one cluster is reached."""

    kubeconfig: Path | None = None
    """The kubeconfig; the standard places (KUBECONFIG, ~/.kube/config) when not given."""
    context: str | None = None
    """The context in it; its current one when not given."""
    in_cluster: bool = False
    """Use the service account of the pod that the worker runs in."""
    namespaces: tuple[Name, ...] = ()
    """Where marks and kept versions are looked for; all namespaces when empty, which takes the right to list Secrets in
    the whole cluster."""
    calls_per_second: Annotated[float, Field(gt=0, le=1000)] = 50
    """Calls to the API server at most; more wait for their turn."""

    @model_validator(mode="after")
    def _one_way(self) -> KubernetesCluster:
        if self.in_cluster and (self.kubeconfig or self.context):
            raise ValueError("inCluster takes no kubeconfig and no context; remove one or the other")
        return self


class KubernetesSettings(SettingsModel):
    """What the Kubernetes providers may reach."""

    clusters: dict[Name, KubernetesCluster] = {}
    """Clusters by alias."""
