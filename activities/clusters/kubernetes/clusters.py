"""The Kubernetes clusters of one worker: one connection each, shared by everything that speaks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.settings import KubernetesSettings
from workflows.errors import NotFound


class Clusters:
    """Knows each cluster by its alias; connects at the first call and keeps the connection until it is closed."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings
        self._apis: dict[str, Api] = {}

    def get(self, alias: str) -> Api:
        """The API server behind an alias. Errors: NotFound, naming the aliases there are."""
        if alias not in self._apis:
            cluster = self._settings.clusters.get(alias)
            if cluster is None:
                known = ", ".join(sorted(self._settings.clusters)) or "none"
                raise NotFound(
                    f"this worker has no Kubernetes cluster {alias!r}; it has {known}", provider="kubernetes"
                )
            self._apis[alias] = Api(alias, cluster)
        return self._apis[alias]

    def __iter__(self) -> Iterator[Api]:
        return (self.get(alias) for alias in sorted(self._settings.clusters))

    async def close(self) -> None:
        """Gives every connection back; idempotent."""
        await asyncio.gather(*(api.close() for api in self._apis.values()))
