"""The Services behind a component's backends: made before users come, waited for, and taken away after them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import SERVICE
from activities.clusters.kubernetes.labels import canary_labels
from activities.clusters.kubernetes.resources import MadeResource, Resource
from activities.traffic.weighted.companions import Companion
from activities.traffic.weighted.services import canary_service, maintenance_service, ready_addresses, services
from workflows.errors import ForeignChange, NotReady
from workflows.model.target import SLOTS, Backend, Claim, Slot, Target, TrafficState

POLL = 0.1
"""Seconds between two looks at the API server."""
PATIENCE = 3.0
"""Seconds that a write waits for endpoints."""
_MAKERS: Mapping[Backend, Callable[[Api, Target], Awaitable[Object]]] = {
    "canary": canary_service,
    "maintenance": maintenance_service,
}


class RoutePart(Protocol):
    """What a route says of a component."""

    def refers_to(self, route: Object, backend: Backend) -> bool:
        """Whether any list names the backend, whatever its weight."""
        ...


@dataclass(frozen=True)
class Backends:
    """The Services of one target."""

    api: Api
    target: Target

    @property
    def names(self) -> dict[Backend, str]:
        """The Service of each backend."""
        return services(self.target)

    @property
    def objects(self) -> Sequence[Resource]:
        """What is written beside a route."""
        return (self.resource("canary"), self.resource("maintenance"))

    @property
    def shared(self) -> Sequence[Resource]:
        """Those of them that say where requests go, which others can write to as well."""
        return (self.resource("canary"),)

    def resource(self, backend: Backend) -> MadeResource:
        """The Service of a backend that is ours."""
        return MadeResource(self.api, SERVICE, self.target.namespace, self.names[backend])

    async def ensure(self, claim: Claim, needed: Iterable[Backend]) -> None:
        """Makes those that are ours and are needed. Errors: NotReady before the canary is there; Rejected, Fenced."""
        for backend in set(needed) & _MAKERS.keys():
            await self._companion(backend, claim).ensure(await _MAKERS[backend](self.api, self.target))

    async def settled(self, state: TrafficState) -> TrafficState:
        """The state that can be written now: some of what it leaves out may be needed still."""
        return state

    async def refuse_foreign(self, operation: str) -> None:
        """Errors: ForeignChange where somebody else wrote over where what is ours leads."""
        service, labels = self.resource("canary"), canary_labels(self.target.key)
        found = await service.find()
        if found and (now := found["spec"].get("selector")) != labels:
            field = f"{service.label}: its selector"
            message = f"{field} was written as {labels} and is {now}"
            raise ForeignChange(message, field=field, provider="kubernetes", operation=operation)

    async def prepare(self, claim: Claim, state: TrafficState, *, insist: bool) -> None:
        """Makes what a state needs, before the route says so. Errors: as of `ensure`, ForeignChange."""
        del insist
        if "rules" not in state.raw:
            await self.ensure(claim, needed(state))

    async def tidy(self, claim: Claim, part: RoutePart, before: Object, after: Object) -> None:
        """Takes away what nothing leads to any more, by the route before a write and after it.

        The canary's only when nothing led there before this write either: requests that are under way may finish. It
        goes with its Deployment at the latest, which is drained first.
        """
        await self.end_maintenance(claim, part, before, after)
        if not part.refers_to(before, "canary") and not part.refers_to(after, "canary"):
            await self.remove(claim, "canary")

    async def end_maintenance(self, claim: Claim, part: RoutePart, before: Object, after: Object) -> None:
        """Takes the maintenance Service away once nothing leads there.

        An undo takes away one that no route names too: the write that made it may have got no further, and unlike the
        canary's it goes with nobody.
        """
        is_over = claim.purpose != "release" or part.refers_to(before, "maintenance")
        if is_over and not part.refers_to(after, "maintenance"):
            await self.remove(claim, "maintenance")

    async def trouble(self, route: Object, weights: Mapping[Backend, float]) -> str:
        """Why requests could go elsewhere than the route says, or nothing."""
        del route
        return await self.unready(weights)

    async def follow(self) -> None:
        """Goes on leading to stable's instances while they are replaced; a Service does by itself."""

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


def needed(state: TrafficState) -> set[Backend]:
    """Who must be there for a state."""
    named: set[Backend] = {backend for backend, weight in state.weights.items() if weight}
    return named | ({state.preview_to} if state.preview_to else set())


def rising(wanted: Mapping[Backend, float], now: Mapping[Backend, float]) -> list[Slot]:
    """Who gets more users than before."""
    return [slot for slot in SLOTS if wanted.get(slot, 0) > now.get(slot, 0)]
