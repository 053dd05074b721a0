"""No router: exposure follows the replicas, and there is nothing to shift."""

from __future__ import annotations

from collections.abc import Sequence

from activities.clusters.fence import FencedObject
from activities.traffic.protocol import Verified
from workflows.errors import Unsupported
from workflows.model.target import Backend, Claim, Slot, Target, TrafficState


class NoRouter:
    """Reads as nothing and refuses every weight."""

    def objects(self, target: Target) -> Sequence[FencedObject]:
        del target
        return ()

    async def read(self, target: Target) -> TrafficState | None:
        del target
        return None

    def wanted(self, target: Target, weights: dict[Backend, float], preview_to: Slot | None) -> TrafficState:
        del weights, preview_to
        raise _unsupported(target)

    async def check(self, target: Target, claim: Claim) -> None:
        del claim
        raise _unsupported(target)

    async def write(self, target: Target, claim: Claim, state: TrafficState) -> None:
        del claim, state
        raise _unsupported(target)

    async def verify(self, target: Target, weights: dict[Backend, float], *, patience: float = 0) -> Verified:
        del target, weights, patience
        return Verified("unsupported", "no router stands before this workload")


def _unsupported(target: Target) -> Unsupported:
    return Unsupported(
        f"{target.component} has no router (traffic kind none), so no weights can be set; scale its replicas instead",
        provider="none",
        operation="shift",
    )
