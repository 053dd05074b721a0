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
            if cluster.queue:
                raise NotFound(
                    f"cluster {alias!r} is reached by the workers at its queue {cluster.queue}, and not by this one; "
                    "the release was planned before the settings said so: start it again",
                    provider="kubernetes",
                )
            self._apis[alias] = Api(alias, cluster)
        return self._apis[alias]

    def __iter__(self) -> Iterator[Api]:
        """Those that this worker speaks to itself."""
        return (self.get(alias) for alias in self.aliases)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Clusters that this worker speaks to itself."""
        return tuple(alias for alias, cluster in sorted(self._settings.clusters.items()) if not cluster.queue)

    @property
    def queues(self) -> dict[str, str]:
        """The queue of each cluster that only the workers inside it reach, by its alias."""
        return {alias: cluster.queue for alias, cluster in self._settings.clusters.items() if cluster.queue}

    async def close(self) -> None:
        """Gives every connection back; idempotent."""
        await asyncio.gather(*(api.close() for api in self._apis.values()))
