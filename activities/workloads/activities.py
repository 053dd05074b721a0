"""The bridge from the workload contract to the provider of each target's kind."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

from activities.registry import Registry
from activities.traffic.keeping import Keeping
from activities.workloads.protocol import Witness, WorkloadProvider
from workflows.contracts.workloads import (
    DeployRequest,
    Gathered,
    GatherRequest,
    ReadyResult,
    RetireRequest,
    ScaleRequest,
    WaitReadyRequest,
    WorkloadActivities,
)
from workflows.model.target import SlotState, Target


class Workloads(WorkloadActivities):
    """Carries each call to the provider that the target's workload names."""

    def __init__(self, providers: Registry[WorkloadProvider], keeping: Keeping) -> None:
        self._providers = providers
        self._keeping = keeping

    async def deploy(self, request: DeployRequest) -> ReadyResult:
        async with self._kept(request):
            state = await self._of(request.target).deploy(request)
        return await self._follow(request, state)

    async def scale(self, request: ScaleRequest) -> ReadyResult:
        async with self._kept(request):
            state = await self._of(request.target).scale(request)
        return await self._follow(request, state)

    async def wait_ready(self, request: WaitReadyRequest) -> ReadyResult:
        async with self._keeping(request.target):
            return await self._of(request.target).wait_ready(request)

    async def retire(self, request: RetireRequest) -> None:
        async with self._keeping(request.target):
            await self._of(request.target).retire(request)

    async def gather(self, request: GatherRequest) -> Gathered:
        provider = self._of(request.target)
        return await provider.gather(request) if isinstance(provider, Witness) else Gathered()

    def _kept(self, request: DeployRequest | ScaleRequest) -> AbstractAsyncContextManager[None]:
        """A wish takes long only where it drains."""
        return self._keeping(request.target) if request.drain_seconds else nullcontext()

    async def _follow(self, request: DeployRequest | ScaleRequest, state: SlotState) -> ReadyResult:
        if request.ready_within_seconds is None:
            return ReadyResult(ready=False, state=state)
        wait = WaitReadyRequest(
            target=request.target,
            claim=request.claim,
            slot=request.slot,
            replicas=_wanted(request, state),
            timeout_seconds=request.ready_within_seconds,
        )
        return await self.wait_ready(wait)

    def _of(self, target: Target) -> WorkloadProvider:
        return self._providers.get(str(target.workload.get("kind", "")))


def _wanted(request: DeployRequest | ScaleRequest, state: SlotState) -> int:
    """How many instances to wait for: a canary's share may be more than was planned, and nobody else changes it."""
    return max(request.replicas, state.replicas) if request.share and request.slot == "canary" else request.replicas
