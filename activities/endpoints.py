"""Where a target's instances can be asked: what metrics and checks need to know of a workload provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from activities.registry import Registry
from activities.workloads.protocol import Endpoint, WorkloadProvider
from workflows.model.target import Slot, Target


class Endpoints(Protocol):
    """Knows the ready instances of a slot."""

    async def endpoints(self, target: Target, slot: Slot) -> Sequence[Endpoint]:
        """Instances that users can reach; changes nothing. Errors: those of the workload provider."""
        ...


class WorkloadEndpoints:
    """Asks the workload provider of each target's kind."""

    def __init__(self, providers: Registry[WorkloadProvider]) -> None:
        self._providers = providers

    async def endpoints(self, target: Target, slot: Slot) -> Sequence[Endpoint]:
        return await self._providers.get(str(target.workload.get("kind", ""))).endpoints(target, slot)
