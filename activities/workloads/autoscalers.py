"""What scales a target's own workload: found at capture, kept from shrinking the way back, and left as it was.

An autoscaler sees stable lose its users and takes its instances away, which is what an undo would need. So its minimum
is raised to the captured ready size until the target is settled. Which fields that takes is computed from the mark
alone, so an undo by anybody puts back exactly what a release wrote, and leaves alone what others wrote since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT, Kind
from activities.clusters.kubernetes.patch import Operation, Path, at, replace
from activities.clusters.kubernetes.resources import ANNOTATIONS, Resource
from activities.workloads.controllers import controller_of
from workflows.errors import NotFound
from workflows.model.target import Autoscaler, Claim, Mark, Target


@dataclass(frozen=True)
class Sort:
    """One kind of autoscaler."""

    kind: Kind
    maximum: Path
    most: int
    """The maximum where none is written."""
    fields: Mapping[str, Path]
    """What a release may change of it, by the names that a mark keeps."""
    shared: Callable[[Object], Iterator[str]]
    """The names of what it measures beyond the pods that it scales."""


@dataclass(frozen=True)
class Autoscalers:
    """Those of one target."""

    api: Api
    target: Target

    async def find(self) -> tuple[Autoscaler, ...]:
        """Every one that scales the target's own workload; changes nothing."""
        if not controller_of(self.target).is_sized:
            return ()
        found = await asyncio.gather(*map(self._of, _SORTS.values()))
        return tuple(autoscaler for some in found for autoscaler in some)

    def objects(self, found: Iterable[Autoscaler]) -> list[Resource]:
        """They are part of the target's write set."""
        return [self._place(autoscaler) for autoscaler in found]

    async def hold(self, mark: Mark, claim: Claim) -> None:
        """Keeps the old version at the size that the mark holds; any number of times. Errors: Fenced."""
        for autoscaler in mark.baseline.autoscalers:
            await self._write(autoscaler, claim, held(autoscaler, mark))

    async def restore(self, mark: Mark, claim: Claim) -> None:
        """Puts back what `hold` wrote where it is still there; any number of times. Errors: Fenced."""
        for autoscaler in mark.baseline.autoscalers:
            ours = held(autoscaler, mark)
            was = {name: autoscaler.fields[name] for name in ours}
            await self._write(autoscaler, claim, was, instead_of=ours)

    async def _of(self, sort: Sort) -> list[Autoscaler]:
        try:
            found = await self.api.search(sort.kind, self.target.namespace)
        except NotFound:  # Its CRD is not installed.
            return []
        return [_read(sort, one) for one in found if _scales(one, self.target) and not _is_kedas(one)]

    async def _write(
        self,
        autoscaler: Autoscaler,
        claim: Claim,
        values: Mapping[str, Any],
        *,
        instead_of: Mapping[str, Any] | None = None,
    ) -> None:
        """Sets fields; given what they must be until now, only those that are."""
        place, paths = self._place(autoscaler), _SORTS[autoscaler.kind].fields

        def change(found: Object) -> list[Operation]:
            names = [name for name in values if instead_of is None or at(found, paths[name]) == instead_of[name]]
            return [operation for name in names for operation in replace(found, paths[name], values[name])]

        # One that somebody made anew meanwhile bears neither our claim nor anything that we wrote.
        if values and await place.claim(self.target.key) is not None:
            await place.change(self.target.key, claim, change)

    def _place(self, autoscaler: Autoscaler) -> Resource:
        return Resource(self.api, _SORTS[autoscaler.kind].kind, self.target.namespace, autoscaler.name)


def held(autoscaler: Autoscaler, mark: Mark) -> dict[str, Any]:
    """The fields of an autoscaler that a release writes, as it writes them; pure.

    KEDA starts instances of what was scaled to nothing, so it pauses where nothing may run meanwhile. An HPA does not.
    """
    size = mark.baseline.slot("stable").serving
    fields = autoscaler.fields
    if "paused" in fields and (mark.target.exclusive or not size):
        return {"paused": "true"}
    floor = min(size, autoscaler.maximum)
    if floor <= (fields.get("minimum") or 0) and fields.get("idle") is None:
        return {}
    raised = {"minimum": max(floor, fields.get("minimum") or 0)}
    return raised | ({"idle": None} if "idle" in fields else {})


def _read(sort: Sort, found: Object) -> Autoscaler:
    return Autoscaler(
        kind=sort.kind.name,
        name=found["metadata"]["name"],
        maximum=at(found, sort.maximum) or sort.most,
        fields={name: at(found, path) for name, path in sort.fields.items()},
        shared=tuple(dict.fromkeys(sort.shared(found))),
    )


def _scales(found: Object, target: Target) -> bool:
    reference = found["spec"]["scaleTargetRef"]
    group = (reference.get("apiVersion") or "apps/v1").partition("/")[0]
    scaled = (group, reference.get("kind") or "Deployment", reference["name"])
    return scaled == ("apps", controller_of(target).kind.name, target.name)


def _is_kedas(found: Object) -> bool:
    """Whether KEDA made it and would write over what we write; its ScaledObject is the one to change."""
    return any(owner["kind"] == SCALED_OBJECT.name for owner in found["metadata"].get("ownerReferences") or [])


def _shared_metrics(found: Object) -> Iterator[str]:
    """The API takes resources and `Pods` metrics of the pods that are scaled, and these of whatever they count."""
    for metric in found["spec"].get("metrics") or []:
        if metric["type"] in ("Object", "External"):
            yield metric[metric["type"].lower()]["metric"]["name"]


def _shared_triggers(found: Object) -> Iterator[str]:
    for trigger in found["spec"].get("triggers") or []:
        if trigger["type"] not in ("cpu", "memory"):
            yield trigger.get("name") or trigger["type"]


_HPA = Sort(
    HORIZONTAL_POD_AUTOSCALER, ("spec", "maxReplicas"), 0, {"minimum": ("spec", "minReplicas")}, _shared_metrics
)
_KEDA = Sort(
    SCALED_OBJECT,
    ("spec", "maxReplicaCount"),
    100,
    {
        "minimum": ("spec", "minReplicaCount"),
        "idle": ("spec", "idleReplicaCount"),
        "paused": (*ANNOTATIONS, "autoscaling.keda.sh/paused"),
    },
    _shared_triggers,
)
_SORTS = {sort.kind.name: sort for sort in (_HPA, _KEDA)}
