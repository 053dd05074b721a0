"""The router for every kind of object that holds weighted lists of backends.

A write goes in an order in which no request finds nothing behind a weight: the Services first, their endpoints ready,
their entries in the route with weight 0, and only then the weights, in one patch. On the way back the weights go first,
then the entries, and the Services last. Without the entries of weight 0, Envoy behind Contour was seen to forget a
backend some milliseconds before the route that led there, and to answer 503 meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from activities.clusters.fence import FencedObject
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.changes import Changes, Watched
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import SERVICE
from activities.traffic.affinity import of_destination_rules, of_rule, of_service
from activities.traffic.following import nonzero, refuse_unbalanced, until_followed, words
from activities.traffic.protocol import Verified
from activities.traffic.weighted.backends import PATIENCE, POLL, needed, rising
from activities.traffic.weighted.companions import Companion, rerouted
from activities.traffic.weighted.hosts import service_in
from activities.traffic.weighted.places import Place, place_of
from activities.traffic.weighted.shapes import Shape
from workflows.errors import ForeignChange, Unsupported
from workflows.model.target import Backend, Claim, Slot, Target, TrafficState


class WeightedRouter:
    """Writes the weights of objects of one shape, or of the one of several whose object a document names."""

    def __init__(self, shapes: Sequence[Shape], clusters: Clusters) -> None:
        self._shapes = shapes
        self._clusters = clusters

    async def leading_to(self, cluster: str, namespace: str, service: str) -> list[dict[str, Any]]:
        """The objects that lead to a Service, as documents name them."""
        found = []
        for shape in self._shapes:
            for route in await self._clusters.get(cluster).search(shape.kind, namespace):
                bodies = (body for _, field, rule in shape.rules(route) for body in rule[field])
                if any(shape.ref(body, namespace).service == service for body in bodies):
                    named = {shape.field: route["metadata"]["name"], "service": service}
                    found.append({"kind": shape.provider, **named})
        return found

    def objects(self, target: Target) -> Sequence[FencedObject]:
        place = self._place(target)
        return (place.route, *place.backends.objects, *place.previews)

    async def read(self, target: Target) -> TrafficState | None:
        place = self._place(target)
        return place.part.read(await place.route.get())

    def wanted(self, target: Target, weights: dict[Backend, float], preview_to: Slot | None) -> TrafficState:
        shape = self._shape(target)
        if target.traffic.get("mirror") and shape.mirror is None:
            raise Unsupported(f"a {shape.kind.name} cannot copy requests; leave mirror out", provider=shape.provider)
        if preview_to and not shape.fronts and (target.traffic.get("match") or target.traffic.get("preview")):
            raise Unsupported(
                f"a {shape.kind.name} cannot lead single requests anywhere; leave match and preview out",
                provider=shape.provider,
            )
        return _wanted(target, weights, preview_to, provider=shape.provider)

    async def affinity(self, target: Target) -> str:
        place = self._place(target)
        service = await place.route.api.get(SERVICE, target.namespace, place.part.services["stable"])
        rules = place.part.rules(await place.route.get())
        found = next(filter(None, (of_rule(rule, field) for field, rule in rules)), "")
        return of_service(service) or found or await self._affinity_of_host(place)

    async def _affinity_of_host(self, place: Place) -> str:
        """Istio holds users by a DestinationRule of the host, whichever form the route has."""
        if place.shape.policy is None:
            return ""
        stable, namespace = place.part.services["stable"], place.target.namespace
        rules = await place.route.api.search(place.shape.policy, namespace)
        return of_destination_rules(
            rule for rule in rules if service_in(str(rule["spec"].get("host")), namespace) == stable
        )

    async def check(self, target: Target, claim: Claim) -> None:
        place = self._place(target)
        found = await place.route.held(target.key, claim)
        if claim.purpose == "release":
            await self._refuse_foreign(place, found, "write")

    async def write(self, target: Target, claim: Claim, state: TrafficState) -> None:
        await self._write(self._place(target), claim, state, insist=claim.purpose != "release")

    async def look(self, target: Target) -> None:
        place = self._place(target)
        await self._refuse_foreign(place, await place.route.get(), "look")

    def changes(self, target: Target) -> Changes:
        place = self._place(target)
        return Changes(place.route.api, *map(Watched.one, (place.route, *place.backends.shared, *place.previews)))

    async def put_back(self, target: Target, claim: Claim) -> None:
        place = self._place(target)
        if wish := place.part.wish(await place.route.held(target.key, claim)):
            await self._write(place, claim, wish, insist=True)

    async def _write(self, place: Place, claim: Claim, state: TrafficState, *, insist: bool) -> None:
        target = place.target
        before, state = await place.route.held(target.key, claim), await place.backends.settled(state)
        await self._prepare(place, claim, before, state, insist=insist)
        if wanted := place.part.companion(before, state):  # Whoever finds it in the wish finds it there, too.
            await Companion(place.preview, target.key, claim).ensure(wanted)
        edit = partial(place.part.patch, state=state, insist=insist)
        after = await place.route.change(target.key, claim, partial(edit, linger=True))
        if edit(after):
            await self._wait_for_answer(place)
            after = await place.route.change(target.key, claim, edit)
        copied, stored = partial(place.part.copied, state=state), partial(place.part.refuse_pruned, state=state)
        after = await place.route.change(target.key, claim, copied, seal=stored)
        if not wanted:
            for preview in place.previews:
                await Companion(preview, target.key, claim).remove()
        await place.backends.tidy(claim, place.part, before, after)

    async def verify(self, target: Target, weights: dict[Backend, float], *, patience: float = 0) -> Verified:
        place = self._place(target)
        found = await until_followed(partial(self._difference, place, weights), patience=patience, pause=POLL)
        if found.verification != "verified":
            return found
        # Directly after a write the controller knows a moment before its data plane.
        await asyncio.sleep(min(patience, place.shape.lead))
        if place.shape.trouble is None:
            return Verified("unsupported", f"nothing says whether requests follow {place.route.label}")
        return found

    async def follow(self, target: Target) -> None:
        await self._place(target).backends.follow()

    async def _prepare(self, place: Place, claim: Claim, route: Object, state: TrafficState, *, insist: bool) -> None:
        """Makes what the state needs and is not there yet, and lets the data plane learn of it."""
        await place.backends.prepare(claim, state, insist=insist)
        now = place.part.read(route).weights
        await place.backends.wait(rising(state.weights, now), provider=place.shape.provider)
        known = route["metadata"].get("generation")
        route = await place.route.change(place.target.key, claim, lambda found: place.part.introduce(found, state))
        if route["metadata"].get("generation") != known and "maintenance" not in needed(state):
            await self._wait_for_answer(place)

    async def _wait_for_answer(self, place: Place) -> None:
        """At most `PATIENCE`: whether the weights are followed in the end is what `verify` asks."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if place.shape.trouble is None or not place.shape.trouble(await place.route.get()):
                break
            await asyncio.sleep(POLL)
        await asyncio.sleep(place.shape.lead)

    async def _refuse_foreign(self, place: Place, route: Object, operation: str) -> None:
        """Errors: ForeignChange where somebody else wrote over what this target asks for."""
        place.part.refuse_foreign(route, operation)
        await place.backends.refuse_foreign(operation)
        wish = place.part.wish(route)
        written = place.part.companion(route, wish) if wish else None
        change = await rerouted(place.preview, written, place.part.leads) if written else ""
        if change and place.part.wish(await place.route.get()) == wish:  # Nobody took it away meanwhile.
            provider = place.shape.provider
            raise ForeignChange(change, field=place.preview.label, provider=provider, operation=operation)

    async def _difference(self, place: Place, weights: dict[Backend, float]) -> str:
        """What still differs between the weights and the cluster, or nothing. Errors: ForeignChange, Rejected."""
        route = await place.route.get()
        await self._refuse_foreign(place, route, "verify")
        asked = place.part.read(route).weights
        if nonzero(asked) != nonzero(weights):
            return f"{place.route.label} asks for {words(asked)}, not for {words(weights)}"
        if place.shape.trouble and (found := place.shape.trouble(route)):
            return f"{place.route.label}: {found}"
        return await place.backends.trouble(route, weights)

    def _shape(self, target: Target) -> Shape:
        return next((shape for shape in self._shapes if shape.name(target)), self._shapes[0])

    def _place(self, target: Target) -> Place:
        return place_of(self._shape(target), self._clusters.get(target.cluster), target)


def _wanted(target: Target, weights: dict[Backend, float], preview_to: Slot | None, *, provider: str) -> TrafficState:
    refuse_unbalanced(target, weights, provider=provider)
    if preview_to == "stable":
        raise Unsupported(f"{provider} previews the new version only, not the stable one", provider=provider)
    raw: dict[str, Any] = {}
    if preview_to and (match := target.traffic.get("match")):
        raw["match"] = [{"header": item["header"], "exact": item["exact"]} for item in match]
    if preview_to and (preview := target.traffic.get("preview")):
        raw["preview"] = preview["host"]
    if preview_to and (mirror := target.traffic.get("mirror")) is not None and not weights.get("canary"):
        raw["mirror"] = float(mirror.get("percent", 100))
    return TrafficState(weights=weights, preview_to=preview_to, raw=raw)
