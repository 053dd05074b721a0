"""The Services behind a component's backends: made before users come, waited for, and taken away after them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import SERVICE
from activities.clusters.kubernetes.resources import Resource
from activities.traffic.weighted.companions import Companion
from activities.traffic.weighted.services import canary_service, maintenance_service, ready_addresses, services
from workflows.errors import NotReady
from workflows.model.target import SLOTS, Backend, Claim, Slot, Target

POLL = 0.1
"""Seconds between two looks at the API server."""
PATIENCE = 3.0
"""Seconds that a write waits for endpoints."""
_MAKERS: Mapping[Backend, Callable[[Api, Target], Awaitable[Object]]] = {
    "canary": canary_service,
    "maintenance": maintenance_service,
}


@dataclass(frozen=True)
class Backends:
    """The Services of one target."""

    api: Api
    target: Target

    @property
    def names(self) -> dict[Backend, str]:
        """The Service of each backend."""
        return services(self.target)

    def resource(self, backend: Backend) -> Resource:
        return Resource(self.api, SERVICE, self.target.namespace, self.names[backend])

    async def ensure(self, claim: Claim, needed: Iterable[Backend]) -> None:
        """Makes those that are ours and are needed. Errors: NotReady before the canary is there; Rejected, Fenced."""
        for backend in set(needed) & _MAKERS.keys():
            await self._companion(backend, claim).ensure(await _MAKERS[backend](self.api, self.target))

    async def remove(self, claim: Claim, backend: Backend) -> None:
        await self._companion(backend, claim).remove()

    async def wait(self, rising: Iterable[Slot], *, provider: str) -> None:
        """Waits until somebody is ready behind each of them. Errors: NotReady."""
        deadline = time.monotonic() + PATIENCE
        for slot in rising:
            while not await self._is_ready(slot):
                if time.monotonic() > deadline:
                    raise NotReady(
                        f"{self._words(slot)} has no ready endpoints, so {slot} gets no more users",
                        provider=provider,
                        retry_after=0.5,
                    )
                await asyncio.sleep(POLL)

    async def unready(self, weights: Mapping[Backend, float]) -> str:
        """A sentence about a backend that has users and nobody to serve them, or nothing."""
        for slot in SLOTS:
            if weights.get(slot) and not await self._is_ready(slot):
                return f"{self._words(slot)} has no ready endpoints"
        return ""

    async def owners(self) -> Object:
        """The metadata by which an object goes when the canary's Service does: with the canary's Deployment."""
        found = await self.resource("canary").get()
        return {"ownerReferences": found["metadata"].get("ownerReferences") or []}

    async def _is_ready(self, slot: Slot) -> bool:
        return bool(await ready_addresses(self.api, self.target.namespace, self.names[slot]))

    def _companion(self, backend: Backend, claim: Claim) -> Companion:
        return Companion(self.resource(backend), self.target.key, claim)

    def _words(self, slot: Slot) -> str:
        return f"Service {self.target.namespace}/{self.names[slot]}"


def rising(wanted: Mapping[Backend, float], now: Mapping[Backend, float]) -> list[Slot]:
    """Who gets more users than before."""
    return [slot for slot in SLOTS if wanted.get(slot, 0) > now.get(slot, 0)]
