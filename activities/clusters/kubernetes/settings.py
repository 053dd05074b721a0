"""Settings of the Kubernetes clusters that a worker reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from activities.settings import SettingsModel
from workflows.model.shapes import Name


class ArgoCdSettings(SettingsModel):
    """The Argo CD that applies Git's state to the cluster."""

    namespace: Name | None = None
    """Where its Applications are, in the same cluster; those of them that own a released object are asked for a truce.
    """
    elsewhere: bool = False
    """It runs in another cluster, or has Applications in other namespaces, where no truce can be made: those leave
    alone what releases move, which is taken on trust."""


class KubernetesCluster(SettingsModel):
    """How one cluster is reached."""

    kubeconfig: Path | None = None
    """The kubeconfig; the standard places (KUBECONFIG, ~/.kube/config) when not given."""
    context: str | None = None
    """The context in it; its current one when not given."""
    in_cluster: bool = False
    """Use the service account of the pod that the worker runs in."""
    queue: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The task queue of workers inside the cluster, which carry out everything there; this worker needs no way in."""
    namespaces: tuple[Name, ...] = ()
    """Where marks and kept versions are looked for; all namespaces when empty, which takes the right to list Secrets in
    the whole cluster."""
    argo_cd: ArgoCdSettings = ArgoCdSettings()
    """Without it a Deployment that Argo CD tracks is refused."""
    calls_per_second: Annotated[float, Field(gt=0, le=1000)] = 50
    """Calls to the API server in a second; more wait for their turn, those of undos and observers the shortest."""
    burst: Annotated[int, Field(ge=1, le=1000)] = 50
    """Calls that may go out at once after a quiet time."""

    @model_validator(mode="after")
    def _one_way(self) -> KubernetesCluster:
        if self.in_cluster and (self.kubeconfig or self.context):
            raise ValueError("inCluster takes no kubeconfig and no context; remove one or the other")
        if self.queue and self.model_fields_set - {"queue"}:
            others = sorted(to_camel(name) for name in self.model_fields_set - {"queue"})
            raise ValueError(f"queue stands alone: {', '.join(others)} belong to the settings of the workers inside")
        return self


class KubernetesSettings(SettingsModel):
    """What the Kubernetes providers may reach."""

    clusters: dict[Name, KubernetesCluster] = {}
    """Clusters by alias."""
