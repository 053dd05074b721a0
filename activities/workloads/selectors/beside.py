"""Objects that mean the user's pods by the label that the canary's have changed: copied, so that they mean both.

The copies belong to the canary's Deployment and go with it, even when nobody deletes them. What a plan says of them
and what a release does is one look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.copies import pod_labels
from activities.clusters.kubernetes.kinds import DEPLOYMENT, SERVICE, SERVICE_MONITOR, Kind
from activities.clusters.kubernetes.labels import is_ours, matches
from activities.clusters.kubernetes.resources import MadeResource
from activities.traffic.weighted.companions import Companion
from activities.workloads.selectors.meaning import Copy, Meaning, Selector
from activities.workloads.selectors.sorts import SORTS, Sort
from workflows.errors import NotFound
from workflows.model.target import Claim, Target


@dataclass(frozen=True)
class Selection:
    """What selects the pods of a target, as it is for the canary's."""

    copies: tuple[Copy, ...] = ()
    """What has to stand beside the user's own."""
    missed: tuple[str, ...] = ()
    """Objects that mean the stable pods and stay so, each with its kind."""
    gained: tuple[str, ...] = ()
    """Objects that mean the canary's pods although they don't mean the stable ones."""


async def admit(api: Api, target: Target, claim: Claim, *, stable: Object, canary: Object) -> None:
    """Makes, or makes right, what the canary's pods need. Errors: Fenced, Rejected, Denied."""
    found = await selection(api, target, Meaning(pod_labels(stable), pod_labels(canary), target.key))
    await asyncio.gather(*(_ensure(api, target, claim, canary, copy) for copy in found.copies))


async def selection(api: Api, target: Target, meaning: Meaning) -> Selection:
    """Everything in the target's namespace that selects pods by their labels. Errors: Denied."""
    if meaning.is_same:
        return Selection()
    served = await api.served()
    services, monitors, *found = await asyncio.gather(
        listed(api, target, SERVICE, served),
        listed(api, target, SERVICE_MONITOR, served),
        *(listed(api, target, sort.kind, served) for sort in SORTS),
    )
    objects = list(zip(SORTS, found, strict=True))
    behind = Services(target, services, monitors)
    return Selection(
        copies=(*(copy for sort, some in objects for copy in sort.copies(some, meaning)), *behind.copies(meaning)),
        missed=tuple(behind.missed(meaning)),
        gained=(
            *(label for sort, some in objects for label in _gained(sort, some, meaning)),
            *(_label(SERVICE, found) for found in behind.chosen_by(meaning.is_gained)),
        ),
    )


@dataclass(frozen=True)
class Services:
    """The Services of a namespace, and the ServiceMonitors that mean pods through them."""

    target: Target
    services: list[Object]
    monitors: list[Object]

    def copies(self, meaning: Meaning) -> Iterator[Copy]:
        """Monitors for the canary's Service, where a router makes one."""
        if self.target.traffic.get("kind") == "service":
            return
        for monitor in self._monitors(filter(self._is_routed, self.chosen_by(meaning.is_missed))):
            spec = {**monitor["spec"], "selector": {"matchLabels": meaning.ours}}
            yield meaning.copy(SERVICE_MONITOR, monitor, spec, labelled=True)

    def missed(self, meaning: Meaning) -> Iterator[str]:
        """Services beside the one that is routed, and their monitors: nothing stands beside them for the canary's."""
        bypassed = [found for found in self.chosen_by(meaning.is_missed) if not self._is_routed(found)]
        yield from (_label(SERVICE, found) for found in bypassed)
        yield from (_label(SERVICE_MONITOR, found) for found in self._monitors(bypassed))

    def chosen_by(self, test: Callable[[Selector], bool]) -> list[Object]:
        """The Services whose selectors pass."""
        chosen = ((found, found["spec"].get("selector")) for found in self.services)
        return [found for found, labels in chosen if labels and test({"matchLabels": labels})]

    def _is_routed(self, service: Object) -> bool:
        return self.target.is_routed and service["metadata"]["name"] == self.target.traffic.get("service")

    def _monitors(self, services: Iterable[Object]) -> list[Object]:
        labels = [service["metadata"].get("labels") or {} for service in services]
        return [found for found in self.monitors if any(matches(found["spec"]["selector"], some) for some in labels)]


def _gained(sort: Sort, objects: Iterable[Object], meaning: Meaning) -> Iterator[str]:
    for found in objects:
        if (chosen := sort.selector(found)) is not None and meaning.is_gained(chosen):
            yield _label(sort.kind, found)


async def listed(api: Api, target: Target, kind: Kind, served: set[str]) -> list[Object]:
    """The user's own of a kind; none where the cluster does not know it."""
    if "/" in kind.api_version and kind.api_version not in served:
        return []
    try:
        return [found for found in await api.search(kind, target.namespace) if not is_ours(found)]
    except NotFound:  # Its group is there and it is not.
        return []


def _label(kind: Kind, found: Object) -> str:
    return f"{kind.name} {found['metadata']['name']}"


async def _ensure(api: Api, target: Target, claim: Claim, canary: Object, copy: Copy) -> None:
    owner = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name}
    owner |= {field: canary["metadata"][field] for field in ("name", "uid")}
    place = MadeResource(api, copy.kind, target.namespace, copy.body["metadata"]["name"])
    metadata = {**copy.body["metadata"], "ownerReferences": [owner]}
    await Companion(place, target.key, claim, is_whole=True).ensure({**copy.body, "metadata": metadata})
