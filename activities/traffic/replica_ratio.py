"""One Service in front of the pods of both versions: their number is the weight, so there is nothing to write.

Whoever changes the number of pods moves users. What is left to a router is to say what users meet: the Service's
endpoints are the ready pods of both versions, in the ratio that is asked for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial

from activities.clusters.fence import FencedObject
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import POD, SERVICE
from activities.clusters.kubernetes.labels import canary_labels
from activities.clusters.kubernetes.pods import is_leaving, is_ready
from activities.clusters.kubernetes.resources import Resource
from activities.traffic.affinity import of_service
from activities.traffic.following import nonzero, refuse_unbalanced, until_followed, words
from activities.traffic.protocol import Verified
from activities.traffic.weighted.services import lead_exactly_to, ready_addresses
from workflows.errors import Rejected, Unsupported
from workflows.model.target import Backend, Claim, Slot, Target, TrafficState

POLL = 0.1
"""Seconds between two looks at the API server."""
_PROVIDER = "replicas"


class ReplicaRatio:
    """Reads Services of the clusters of its settings, and writes nothing to them but its fence."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def objects(self, target: Target) -> Sequence[FencedObject]:
        return (self._service(target),)

    async def read(self, target: Target) -> TrafficState | None:
        return TrafficState(weights=_shares(target, await self._ready(target)))

    def wanted(self, target: Target, weights: dict[Backend, float], preview_to: Slot | None) -> TrafficState:
        refuse_unbalanced(target, weights, provider=_PROVIDER)
        if preview_to is not None or weights.get("maintenance"):
            raise Unsupported(
                f"Service {target.shared_service} leads to whichever pods are ready and to nobody else; use a router",
                provider=_PROVIDER,
            )
        return TrafficState(weights=weights)

    async def affinity(self, target: Target) -> str:
        return of_service(await self._service(target).get())

    async def check(self, target: Target, claim: Claim) -> None:
        await self._service(target).held(target.key, claim)

    async def write(self, target: Target, claim: Claim, state: TrafficState) -> None:
        """Nothing: the pods that the weights ask for are there, or `verify` says that they are not."""
        del state
        await self.check(target, claim)

    async def verify(self, target: Target, weights: dict[Backend, float], *, patience: float = 0) -> Verified:
        return await until_followed(partial(self._difference, target, weights), patience=patience, pause=POLL)

    async def _difference(self, target: Target, weights: dict[Backend, float]) -> str:
        """What still differs between the weights and the endpoints, or nothing."""
        place = self._service(target)
        endpoints, ready = await asyncio.gather(
            ready_addresses(place.api, place.namespace, place.name), self._ready(target)
        )
        if not lead_exactly_to(ready, endpoints=endpoints):
            return f"{place.label} has {len(endpoints)} endpoints for {len(ready)} ready pods"
        found, wanted = _shares(target, ready), nonzero(weights)
        if found != wanted:
            return f"{place.label} has {words(found)} in {len(ready)} ready pods, not {words(wanted)}"
        return ""

    async def _ready(self, target: Target) -> list[Object]:
        """The pods that the Service leads to. Errors: Rejected when it selects nothing."""
        place = self._service(target)
        selector = (await place.get())["spec"].get("selector")
        if not selector:
            raise Rejected(f"{place.label} has no selector, so no pods are behind it", provider=_PROVIDER)
        pods = await place.api.search(POD, place.namespace, labels=selector)
        return [pod for pod in pods if is_ready(pod) and not is_leaving(pod)]

    def _service(self, target: Target) -> Resource:
        return Resource(self._clusters.get(target.cluster), SERVICE, target.namespace, target.shared_service)


def _shares(target: Target, pods: Sequence[Object]) -> dict[Backend, float]:
    """Percent of the pods by version; everything but the canary's counts as stable."""
    ours = canary_labels(target.key).items()
    counts: Counter[Backend] = Counter(
        "canary" if ours <= pod["metadata"].get("labels", {}).items() else "stable" for pod in pods
    )
    share = round(100 * counts["canary"] / len(pods), 2) if pods else 0
    shares: dict[Backend, float] = {"stable": round(100 - share, 2), "canary": share}
    return {backend: shares[backend] for backend in ("stable", "canary") if counts[backend]}
