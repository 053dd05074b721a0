"""One Service behind both versions, divided by the subsets of a DestinationRule.

The stable subset selects the `pod-template-hash` of the ReplicaSet that serves for the user's Deployment, because the
pods of both versions have all other labels in common. Both subsets stand before the first canary pod does, and go
after the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from activities.clusters.caller import Caller, caller
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.changes import Changes, Watched
from activities.clusters.kubernetes.kinds import DEPLOYMENT, DESTINATION_RULE, POD
from activities.clusters.kubernetes.labels import SLOT, canary_labels, canary_name, selector_text
from activities.clusters.kubernetes.patch import Operation
from activities.clusters.kubernetes.pods import addresses, has_ended, is_leaving, is_ready
from activities.clusters.kubernetes.resources import Resource
from activities.traffic.weighted.backends import Backends, RoutePart, needed
from activities.traffic.weighted.hosts import service_in
from activities.traffic.weighted.services import ready_addresses
from activities.traffic.weighted.subsets.part import SubsetPart, needs_subsets
from activities.traffic.weighted.subsets.rule import Labels, pointed, refuse_foreign, restored, written
from workflows.errors import NotReady, Rejected
from workflows.model.target import Backend, Claim, Slot, TrafficState

HASH = "pod-template-hash"
_PAUSE = 10.0
"""Seconds after which pods are looked at again although nothing was heard of them."""


@dataclass(frozen=True)
class Subsets(Backends):
    """Two subsets of one target, and a Service for maintenance."""

    part: SubsetPart
    lead: float
    """Seconds that proxies take to learn of a subset before a route may name it."""

    @property
    def objects(self) -> Sequence[Resource]:
        return (self._rule, self.resource("maintenance"))

    @property
    def shared(self) -> Sequence[Resource]:
        return (self._rule,)

    async def settled(self, state: TrafficState) -> TrafficState:
        """Subsets stay as long as a pod of the canary can be reached through the Service."""
        if needs_subsets(state) or not await self._is_canary_there():
            return state
        return state.model_copy(update={"weights": {**state.weights, "canary": 0.0}})

    async def refuse_foreign(self, operation: str) -> None:
        refuse_foreign(await self._rule.get(), self.target.key, operation)

    async def prepare(self, claim: Claim, state: TrafficState, *, insist: bool) -> None:
        if "rules" not in state.raw:
            await self.ensure(claim, needed(state) - {"canary"})
        if not needs_subsets(state):
            return
        before = await self._rule.held(self.target.key, claim)
        self._refuse_other_host(before)
        after = await self._point(claim, await self._labels(), insist=insist)
        if before["spec"] != after["spec"]:
            await asyncio.sleep(self.lead)

    async def tidy(self, claim: Claim, part: RoutePart, before: Object, after: Object) -> None:
        await self.end_maintenance(claim, part, before, after)
        if self.part.is_pinned(after):
            return
        if self.part.is_pinned(before):
            await asyncio.sleep(self.lead)
        await self._rule.change(self.target.key, claim, partial(restored, key=self.target.key))

    async def _is_ready(self, slot: Slot) -> bool:
        labels = canary_labels(self.target.key) if slot == "canary" else {HASH: await self._serving()}
        pods = await self.api.search(POD, self.target.namespace, labels=labels)
        ready = [addresses(pod) for pod in pods if is_ready(pod) and not is_leaving(pod)]
        endpoints = await ready_addresses(self.api, self.target.namespace, self.target.shared_service)
        return any(not one.isdisjoint(endpoints) for one in ready)

    async def trouble(self, route: Object, weights: Mapping[Backend, float]) -> str:
        if "canary" not in weights:
            if self.part.is_pinned(route) and not await self._is_canary_there():
                return "the subsets of a canary that is gone are still there"
            return await self.unready(weights)
        rule = await self._rule.get()
        known, wanted = written(rule, self.target.key), await self._labels()
        if known is None or known.labels != wanted:
            return f"{self._rule.label} does not have the subsets {wanted}"
        if not self.part.is_pinned(route):
            return "the stable destinations do not name their subset"
        return await self.unready(weights)

    def _words(self, slot: Slot) -> str:
        name = self.part.view.canary if slot == "canary" else self.part.view.stable
        return f"subset {name} of {self._rule.label}"

    async def follow(self) -> None:
        """Points at the stable pods that serve, until cancelled."""
        deployment = await self._deployment.get()
        labels = selector_text(deployment["spec"]["selector"])
        async with Changes(self.api, Watched(POD, self.target.namespace, labels=labels)) as changes:
            while True:
                await self._repoint()
                await changes.next(_PAUSE)

    async def _repoint(self) -> None:
        """Only where subsets are ours and the caller's run holds the claim; whoever else asks changes nothing."""
        rule, claim = await self._rule.get(), await self._rule.claim(self.target.key)
        known = written(rule, self.target.key)
        if not known or not claim or Caller(claim.workflow_id, claim.run_id) != caller():
            return
        if known.labels != (wanted := await self._labels()):
            await self._point(claim, wanted, insist=claim.purpose != "release")

    async def _point(self, claim: Claim, labels: Mapping[str, Labels], *, insist: bool) -> Object:
        def change(rule: Object) -> list[Operation]:
            return pointed(rule, self.target.key, labels, insist=insist)

        return await self._rule.change(self.target.key, claim, change)

    async def _labels(self) -> dict[str, Labels]:
        """What each subset selects. Errors: NotReady."""
        view = self.part.view
        return {view.stable: {HASH: await self._serving()}, view.canary: canary_labels(self.target.key)}

    async def _serving(self) -> str:
        """The hash of most of the stable pods that are ready, of the newest where as many are. Errors: NotReady."""
        deployment = await self._deployment.get()
        labels = f"{selector_text(deployment['spec']['selector'])},{SLOT}!=canary"
        pods = await self.api.search(POD, self.target.namespace, labels=labels)
        ready = [pod for pod in pods if is_ready(pod) and not is_leaving(pod) and HASH in pod["metadata"]["labels"]]
        if not ready:
            raise NotReady(
                f"{self._deployment.label} has no ready pod, so no subset can lead to it",
                provider="istio",
                retry_after=0.5,
            )
        return _most(ready)

    async def _is_canary_there(self) -> bool:
        """Whether pods of the canary run or may come."""
        canary = await self.api.find(DEPLOYMENT, self.target.namespace, canary_name(self._deployment.name))
        pods = await self.api.search(POD, self.target.namespace, labels=canary_labels(self.target.key))
        return bool(any(not has_ended(pod) for pod in pods) or (canary and canary["spec"].get("replicas")))

    def _refuse_other_host(self, rule: Object) -> None:
        host = str(rule["spec"].get("host"))
        if service_in(host, self.target.namespace) != self.target.shared_service:
            raise Rejected(
                f"{self._rule.label} is for host {host}, not for Service {self.target.shared_service}; name the one "
                "that is",
                provider="istio",
            )

    @property
    def _rule(self) -> Resource:
        name = str(self.target.traffic.get("destinationRule", ""))
        return Resource(self.api, DESTINATION_RULE, self.target.namespace, name)

    @property
    def _deployment(self) -> Resource:
        return Resource(self.api, DEPLOYMENT, self.target.namespace, str(self.target.workload.get("deployment", "")))


def _most(pods: Sequence[Object]) -> str:
    ages: dict[str, list[str]] = {}
    for pod in pods:
        ages.setdefault(pod["metadata"]["labels"][HASH], []).append(pod["metadata"]["creationTimestamp"])
    return max(ages, key=lambda name: (len(ages[name]), max(ages[name])))
