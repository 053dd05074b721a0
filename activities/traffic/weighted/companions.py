"""Objects that a router makes beside a component's own and takes away again: Services, and routes for a preview host.

Each carries our label, our fence and, where there is one, an owner: the canary's Deployment, so that it goes with the
pods it leads to even when nobody deletes it. An object of the same name that is somebody else's is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import MANAGED
from activities.clusters.kubernetes.patch import Operation, Path, at, entries, replace
from activities.clusters.kubernetes.resources import ANNOTATIONS, MadeResource, Resource
from workflows.errors import Conflict
from workflows.model.target import Claim


@dataclass(frozen=True)
class Companion:
    """One object that we make for a target; whoever writes must hold the fence of the target's own objects."""

    resource: MadeResource
    key: str
    claim: Claim
    is_whole: bool = False
    """Whether its spec is given in full, so that other fields have to go; a Service gets some by itself."""

    async def ensure(self, body: Object) -> None:
        """Makes the object, or gives it this owner and spec. Errors: Rejected when it is somebody else's; Fenced."""
        if await self.resource.find() is None:
            metadata = body.get("metadata", {})
            metadata = metadata | {"labels": {**metadata.get("labels", {}), **MANAGED}}
            await self.resource.create(self.key, self.claim, body | {"metadata": metadata})
        await self._take_over()
        await self.resource.change(self.key, self.claim, lambda there: self._updated(there, body))

    async def note(self, name: str, text: str | None) -> None:
        """Sets one of its annotations, or drops it for None, if the object is there and ours. Errors: Fenced."""
        found = await self.resource.find()
        if found is None or at(found, (*ANNOTATIONS, name)) == text:
            return
        await self._take_over()
        await self.resource.change(self.key, self.claim, lambda there: entries(there, ANNOTATIONS, {name: text}))

    async def remove(self) -> None:
        """Deletes the object if it is there and ours. Errors: Fenced."""
        if await self.resource.find() is None:
            return
        await self._take_over()
        await self.resource.delete(self.key, self.claim)

    def _updated(self, there: Object, body: Object) -> list[Operation]:
        spec: list[Path] = [("spec",)] if self.is_whole else [("spec", name) for name in body["spec"]]
        wanted = {path: at(body, path) for path in (*spec, ("metadata", "ownerReferences"))}
        return [op for path, value in wanted.items() if value is not None for op in replace(there, path, value)]

    async def _take_over(self) -> None:
        """A late attempt of an earlier run may have made the object after the fence was raised over all there was."""
        held = await self.resource.claim(self.key)
        if held and held.epoch >= self.claim.epoch:
            return
        if not await self.resource.replace_claim(self.key, expected=held, claim=self.claim):
            raise Conflict(f"{self.resource.label}: somebody else keeps writing it", provider="kubernetes")


async def rerouted(resource: Resource, written: Object, leads: Callable[[Object], object]) -> str:
    """What somebody else made of a route of ours: deleted it, or leads it elsewhere; nothing if nobody did."""
    found = await resource.find()
    if found is None:
        return f"{resource.label} was written and is gone"
    return "" if leads(found) == leads(written) else f"{resource.label} leads elsewhere than it was written to"
