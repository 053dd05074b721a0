"""A Service as the router: its selector leads everybody to one backend, or to none.

Each switch is one patch. New connections follow within the second in which the nodes' proxies do; open ones stay where
they are until their pods end, so whoever leaves a bad version ends its pods too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from activities.clusters.fence import FencedObject
from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.changes import Changes, Watched
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import POD, SERVICE
from activities.clusters.kubernetes.labels import SLOT, TARGET, canary_labels, target_label
from activities.clusters.kubernetes.patch import Operation, entries, pointer, replace
from activities.clusters.kubernetes.pods import is_leaving, is_ready
from activities.clusters.kubernetes.resources import ANNOTATIONS, Resource
from activities.traffic.affinity import of_service
from activities.traffic.following import refuse_unbalanced, until_followed
from activities.traffic.protocol import Verified
from activities.traffic.switching import leading, only
from activities.traffic.weighted.edits import PREFIX
from activities.traffic.weighted.lists import dumped
from activities.traffic.weighted.services import lead_exactly_to, ready_addresses
from workflows.errors import ForeignChange, NotReady, Rejected, Unsupported
from workflows.model.shapes import Message
from workflows.model.target import Backend, Claim, Slot, Target, TrafficState

POLL = 0.1
"""Seconds between two looks at the API server."""
_PROVIDER = "service"
_SELECTOR = ("spec", "selector")
Labels = dict[str, str]


class Record(Message):
    """What the annotation holds while the selector is ours."""

    wish: TrafficState
    before: Labels
    written: Labels


class ServiceSelector:
    """Switches Services of the clusters of its settings."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def objects(self, target: Target) -> Sequence[FencedObject]:
        return (self._service(target),)

    async def read(self, target: Target) -> TrafficState | None:
        return _state(await self._service(target).get(), target)

    def wanted(self, target: Target, weights: dict[Backend, float], preview_to: Slot | None) -> TrafficState:
        refuse_unbalanced(target, weights, provider=_PROVIDER)
        _backend(weights, target)
        if preview_to is not None:
            raise Unsupported("a Service cannot lead single requests to the new version", provider=_PROVIDER)
        return TrafficState(weights=weights)

    async def affinity(self, target: Target) -> str:
        return of_service(await self._service(target).get())

    async def check(self, target: Target, claim: Claim) -> None:
        found = await self._service(target).held(target.key, claim)
        if claim.purpose == "release":
            _refuse_foreign(found, target, "write")

    async def write(self, target: Target, claim: Claim, state: TrafficState) -> None:
        patch = partial(_patch, target=target, state=state, insist=claim.purpose != "release")
        await self._service(target).change(target.key, claim, patch)

    async def look(self, target: Target) -> None:
        _refuse_foreign(await self._service(target).get(), target, "look")

    def changes(self, target: Target) -> Changes:
        service = self._service(target)
        return Changes(service.api, Watched.one(service))

    async def put_back(self, target: Target, claim: Claim) -> None:
        service = self._service(target)
        if record := _record(await service.held(target.key, claim), target):
            await self._refuse_empty(service, record.written)
            patch = partial(_patch, target=target, state=record.wish, insist=True)
            await service.change(target.key, claim, patch)

    async def verify(self, target: Target, weights: dict[Backend, float], *, patience: float = 0) -> Verified:
        return await until_followed(partial(self._difference, target, weights), patience=patience, pause=POLL)

    async def _refuse_empty(self, service: Resource, selector: Labels) -> None:
        pods = await service.api.search(POD, service.namespace, labels=selector)
        if not any(is_ready(pod) and not is_leaving(pod) for pod in pods):
            raise NotReady(f"{service.label}: no pod is ready behind {_words(selector)}", provider=_PROVIDER)

    async def _difference(self, target: Target, weights: dict[Backend, float]) -> str:
        """What still differs between the weights and the endpoints, or nothing. Errors: ForeignChange, Rejected."""
        place = self._service(target)
        service = await place.get()
        _refuse_foreign(service, target, "verify")
        asked, wanted = leading(_state(service, target).weights), leading(weights)
        if asked != wanted:
            return f"{place.label} leads to {asked or 'nobody'} 100%, not to {wanted or 'nobody'}"
        endpoints = await ready_addresses(place.api, place.namespace, place.name)
        pods = await place.api.search(POD, place.namespace, labels=service["spec"]["selector"])
        ready = [pod for pod in pods if is_ready(pod) and not is_leaving(pod)]
        if not lead_exactly_to(ready, endpoints=endpoints):
            return f"{place.label} has {len(endpoints)} endpoints for {len(ready)} ready pods of {asked}"
        return f"{place.label} has no ready endpoints" if asked in ("stable", "canary") and not ready else ""

    def _service(self, target: Target) -> Resource:
        api = self._clusters.get(target.cluster)
        return Resource(api, SERVICE, target.namespace, str(target.traffic.get("service", "")))


def _state(service: Object, target: Target) -> TrafficState:
    """What a Service asks for. Errors: Rejected when it selects nothing."""
    record, selector = _record(service, target), service["spec"].get("selector")
    if not selector:
        name = f"{target.namespace}/{service['metadata']['name']}"
        raise Rejected(f"Service {name} has no selector, so there is nothing to switch", provider=_PROVIDER)
    if record and selector == record.written:
        return record.wish
    for backend in ("canary", "maintenance"):
        if selector == _selectors(target)[backend]:
            return TrafficState(weights={backend: 100})
    return TrafficState(weights={"stable": 100}, raw={"selector": selector})


def _patch(service: Object, target: Target, state: TrafficState, *, insist: bool) -> list[Operation]:
    if not insist:
        _refuse_foreign(service, target, "write")
    record, now = _record(service, target), _state(service, target)
    before = record.before if record else now.raw.get("selector")
    recorded: Labels | None = state.raw.get("selector")
    backend = _backend(state.weights, target)
    wanted = (recorded or before) if backend == "stable" else _selectors(target)[backend]
    if not wanted or before is None:
        raise Rejected(
            f"Service {target.namespace}/{service['metadata']['name']} does not say any more what selects the stable "
            "pods; set its selector to them",
            provider=_PROVIDER,
        )
    keep = None if backend == "stable" else Record(wish=state, before=before, written=wanted)
    return [*replace(service, _SELECTOR, wanted), *entries(service, ANNOTATIONS, {_annotation(target): dumped(keep)})]


def _refuse_foreign(service: Object, target: Target, operation: str) -> None:
    record, selector = _record(service, target), service["spec"].get("selector")
    if record and selector != record.written:
        field = f"Service {target.namespace}/{service['metadata']['name']}: {pointer(_SELECTOR)}"
        message = f"{field} was written as {_words(record.written)} and is {_words(selector or {})}"
        raise ForeignChange(message, field=field, provider=_PROVIDER, operation=operation)


def _backend(weights: Mapping[Backend, float], target: Target) -> Backend:
    return only(weights, label=f"Service {target.traffic.get('service')}", provider=_PROVIDER)


def _selectors(target: Target) -> dict[str, Labels]:
    nobody = {SLOT: "maintenance", TARGET: target_label(target.key)}
    return {"canary": canary_labels(target.key), "maintenance": nobody}


def _annotation(target: Target) -> str:
    return f"{PREFIX}{target_label(target.key)}"


def _record(service: Object, target: Target) -> Record | None:
    return noted(service, _annotation(target), Record)


def _words(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "nothing"
