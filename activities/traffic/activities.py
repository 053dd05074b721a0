"""The bridge from the traffic contract to the router of each target's kind.

One rule holds for all routers and is kept here: the weight of a backend rises only while enough of it is ready, in undo
too, because sending users to nothing is worse than any version.
"""

from __future__ import annotations

from activities.registry import Registry
from activities.traffic.protocol import TrafficRouter
from activities.workloads.protocol import WorkloadProvider
from workflows.contracts.traffic import RestoreRequest, Shifted, ShiftRequest, TrafficActivities, VerifyRequest
from workflows.errors import NotReady
from workflows.model.target import SLOTS, Backend, Claim, Target, TrafficState

PATIENCE = 3.0
"""Seconds that a write waits for its verification; whoever needs longer asks `verify` again."""


class Traffic(TrafficActivities):
    """Carries each call to the router that the target names."""

    def __init__(
        self, routers: Registry[TrafficRouter], workloads: Registry[WorkloadProvider], *, patience: float = PATIENCE
    ) -> None:
        self._routers = routers
        self._workloads = workloads
        self._patience = patience

    async def shift(self, request: ShiftRequest) -> Shifted:
        router = self._of(request.target)
        state = router.wanted(request.target, request.weights, request.preview_to)
        return await self._write(request.target, request.claim, state, minimum=request.minimum_ready)

    async def verify(self, request: VerifyRequest) -> Shifted:
        router = self._of(request.target)
        found = await router.verify(request.target, request.weights)
        state = await router.read(request.target) or TrafficState()
        return Shifted(verification=found.verification, state=state, message=found.message)

    async def restore(self, request: RestoreRequest) -> Shifted:
        return await self._write(request.target, request.claim, request.state, minimum={})

    async def _write(
        self, target: Target, claim: Claim, state: TrafficState, *, minimum: dict[Backend, int]
    ) -> Shifted:
        router = self._of(target)
        await router.check(target, claim)
        await self._refuse_unready(target, state, minimum)
        await router.write(target, claim, state)
        found = await router.verify(target, state.weights, patience=self._patience)
        return Shifted(verification=found.verification, state=state, message=found.message)

    async def _refuse_unready(self, target: Target, wanted: TrafficState, minimum: dict[Backend, int]) -> None:
        current = await self._of(target).read(target) or TrafficState()
        rising = [slot for slot in SLOTS if wanted.weights.get(slot, 0) > current.weights.get(slot, 0)]
        if not rising:
            return
        slots = await self._workloads.get(str(target.workload.get("kind", ""))).observe(target, rising)
        for slot in rising:
            ready = sum(slots[slot].ready.values())
            if ready < (needed := max(1, minimum.get(slot, 1))):
                raise NotReady(
                    f"{slot} of {target.component} has {ready} ready endpoints of the {needed} it needs"
                    f" before its weight may rise from {current.weights.get(slot, 0):g}%"
                    f" to {wanted.weights.get(slot, 0):g}%",
                    operation="shift",
                    retry_after=0.3,
                )

    def _of(self, target: Target) -> TrafficRouter:
        return self._routers.get(str(target.traffic.get("kind", "none")))
