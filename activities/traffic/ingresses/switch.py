"""An Ingress as the router, whatever controller serves it: its backends lead all users to one version.

Only the Service's name is switched, in one patch, and only where the Ingress leads to the component. The Ingress API
has no answer that says whether a controller follows, so a switch is never more than written. A preview host gets an
Ingress of its own before anybody is switched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from activities.clusters.fence import FencedObject
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.changes import Changes, Watched
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import INGRESS
from activities.clusters.kubernetes.resources import MadeResource, Resource
from activities.traffic.following import refuse_unbalanced, until_written
from activities.traffic.ingresses import copies
from activities.traffic.ingresses.edits import PROVIDER, Switch
from activities.traffic.ingresses.places import Choice, leads
from activities.traffic.protocol import Verified
from activities.traffic.switching import leading, only
from activities.traffic.weighted.backends import POLL, Backends, rising
from activities.traffic.weighted.companions import Companion, rerouted
from workflows.errors import ForeignChange, Unsupported
from workflows.model.target import Backend, Claim, Slot, Target, TrafficState

LEAD = 1.0
"""Seconds after a write before which no controller is expected to follow; slow ones need a longer `drain`."""


class IngressSwitch:
    """Switches Ingresses of the clusters of its settings."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    async def leading_to(self, cluster: str, namespace: str, service: str) -> list[dict[str, Any]]:
        """The Ingresses that lead to a Service, as documents name them."""
        found = await self._clusters.get(cluster).search(INGRESS, namespace)
        names = [ingress["metadata"]["name"] for ingress in found if Choice([service]).of(ingress)]
        return [{"kind": PROVIDER, "ingress": name, "service": service} for name in names]

    def objects(self, target: Target) -> Sequence[FencedObject]:
        place = self._place(target)
        return (place.ingress, *place.backends.objects, *place.previews)

    async def read(self, target: Target) -> TrafficState | None:
        place = self._place(target)
        return place.switch.read(await place.ingress.get())

    def wanted(self, target: Target, weights: dict[Backend, float], preview_to: Slot | None) -> TrafficState:
        refuse_unbalanced(target, weights, provider=PROVIDER)
        only(weights, label=f"Ingress {target.traffic.get('ingress')}", provider=PROVIDER)
        if preview_to == "stable":
            raise Unsupported("an Ingress previews the new version only, not the stable one", provider=PROVIDER)
        preview = target.traffic.get("preview")
        raw = {"preview": preview["host"]} if preview_to and preview else {}
        return TrafficState(weights=weights, preview_to=preview_to, raw=raw)

    async def check(self, target: Target, claim: Claim) -> None:
        place = self._place(target)
        found = await place.ingress.held(target.key, claim)
        if claim.purpose == "release":
            await self._refuse_foreign(place, found, "write")

    async def write(self, target: Target, claim: Claim, state: TrafficState) -> None:
        await self._write(self._place(target), claim, state, insist=claim.purpose != "release")

    async def look(self, target: Target) -> None:
        place = self._place(target)
        await self._refuse_foreign(place, await place.ingress.get(), "look")

    def changes(self, target: Target) -> Changes:
        place = self._place(target)
        watched = (place.ingress, *place.backends.shared, *place.previews)
        return Changes(place.ingress.api, *map(Watched.one, watched))

    async def put_back(self, target: Target, claim: Claim) -> None:
        place = self._place(target)
        if record := place.switch.record(await place.ingress.held(target.key, claim)):
            await self._write(place, claim, record.wish, insist=True)

    async def verify(self, target: Target, weights: dict[Backend, float], *, patience: float = 0) -> Verified:
        place = self._place(target)
        difference = partial(self._difference, place, weights)
        unheard = f"nothing says whether requests follow {place.ingress.label}"
        return await until_written(difference, patience=patience, pause=POLL, lead=LEAD, unheard=unheard)

    async def _write(self, place: _Place, claim: Claim, state: TrafficState, *, insist: bool) -> None:
        before = await place.ingress.held(place.target.key, claim)
        await self._prepare(place, claim, before, state)
        patch = partial(place.switch.patch, state=state, insist=insist)
        after = await place.ingress.change(place.target.key, claim, patch)
        await self._tidy(place, claim, before, after, state)

    async def _prepare(self, place: _Place, claim: Claim, ingress: Object, state: TrafficState) -> None:
        """Whoever gets users, or the preview, is there and ready before."""
        needed = [backend for backend, weight in state.weights.items() if weight]
        await place.backends.ensure(claim, [*needed, *([state.preview_to] if state.preview_to else [])])
        now = place.switch.read(ingress).weights
        await place.backends.wait(rising(state.weights, now), provider=PROVIDER)
        if body := _preview(place, ingress, state):
            body["metadata"] |= await place.backends.owners()
            await Companion(place.preview, place.target.key, claim).ensure(body)

    async def _tidy(self, place: _Place, claim: Claim, before: Object, after: Object, state: TrafficState) -> None:
        """Deletes what nothing leads to any more; the canary's Service not before requests under way had time."""
        switch = place.switch
        if place.target.traffic.get("preview") and not state.raw.get("preview") and await place.preview.find():
            await asyncio.sleep(LEAD)  # Until users have followed, the data plane must know both versions.
            await Companion(place.preview, place.target.key, claim).remove()
        await place.backends.end_maintenance(claim, switch, before, after)
        is_used = state.preview_to == "canary" or switch.refers_to(after, "canary")
        if not is_used and not switch.refers_to(before, "canary"):
            await place.backends.remove(claim, "canary")

    async def _refuse_foreign(self, place: _Place, ingress: Object, operation: str) -> None:
        """Errors: ForeignChange where somebody else wrote over what this target asks for."""
        place.switch.refuse_foreign(ingress, operation)
        await place.backends.refuse_foreign(operation)
        record = place.switch.record(ingress)
        written = _preview(place, ingress, record.wish) if record else None
        change = await rerouted(place.preview, written, leads) if written else ""
        if change and place.switch.record(await place.ingress.get()) == record:  # Nobody took it away meanwhile.
            raise ForeignChange(change, field=place.preview.label, provider=PROVIDER, operation=operation)

    async def _difference(self, place: _Place, weights: dict[Backend, float]) -> str:
        """What still differs between the weights and the cluster, or nothing. Errors: ForeignChange, Rejected."""
        ingress = await place.ingress.get()
        await self._refuse_foreign(place, ingress, "verify")
        asked, wanted = leading(place.switch.read(ingress).weights), leading(weights)
        if asked != wanted:
            return f"{place.ingress.label} leads to {asked} 100%, not to {wanted or 'nobody'}"
        return await place.backends.unready(weights)

    def _place(self, target: Target) -> _Place:
        backends = Backends(self._clusters.get(target.cluster), target)
        ingress = Resource(backends.api, INGRESS, target.namespace, str(target.traffic.get("ingress", "")))
        return _Place(
            target=target,
            switch=Switch(target, backends.names, ingress.label),
            ingress=ingress,
            backends=backends,
            preview=MadeResource(backends.api, INGRESS, target.namespace, backends.names["canary"]),
        )


@dataclass(frozen=True)
class _Place:
    """Everything that a router touches for one target."""

    target: Target
    switch: Switch
    ingress: Resource
    backends: Backends
    preview: MadeResource

    @property
    def previews(self) -> Sequence[MadeResource]:
        """The Ingress for the preview host, where the target has one."""
        return (self.preview,) if self.target.traffic.get("preview") else ()


def _preview(place: _Place, ingress: Object, state: TrafficState) -> Object | None:
    """The Ingress for the preview host, when the state has one."""
    if not (state.preview_to and (host := state.raw.get("preview"))):
        return None
    return copies.preview(ingress, place.switch.mine(ingress), host=str(host), services=place.backends.names)
