"""Everything that a weighted router touches for one target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.resources import MadeResource, Resource
from activities.traffic.weighted.backends import Backends
from activities.traffic.weighted.edits import Part
from activities.traffic.weighted.shapes import Shape
from activities.traffic.weighted.subsets.backends import Subsets
from activities.traffic.weighted.subsets.part import SubsetPart
from activities.traffic.weighted.subsets.view import view_of, with_subsets
from workflows.model.target import Target


@dataclass(frozen=True)
class Place:
    """The objects of one target, and its part in them."""

    target: Target
    shape: Shape
    part: Part | SubsetPart
    backends: Backends
    route: Resource
    preview: MadeResource

    @property
    def previews(self) -> Sequence[MadeResource]:
        """The route for the preview host, where the target has one."""
        return (self.preview,) if self.target.traffic.get("preview") else ()


def place_of(shape: Shape, api: Api, target: Target) -> Place:
    """Where a target's users are moved: between Services, or between subsets of one."""
    part, backends = _between(shape, api, target)
    return Place(
        target=target,
        shape=shape,
        part=part,
        backends=backends,
        route=Resource(api, shape.kind, target.namespace, shape.name(target)),
        preview=MadeResource(api, shape.kind, target.namespace, backends.names["canary"]),
    )


def _between(shape: Shape, api: Api, target: Target) -> tuple[Part | SubsetPart, Backends]:
    services, is_divided = Backends(api, target), bool(target.shared_service)
    plain = Part(
        replace(shape, ref=with_subsets(shape.ref)) if is_divided else shape,
        target.namespace,
        services.names,
        target.key,
        f"{shape.kind.name} {target.namespace}/{shape.name(target)}",
        tuple(target.traffic.get("routes", ())),
    )
    if not is_divided:
        return plain, services
    divided = SubsetPart(plain, view_of(target))
    return divided, Subsets(api, target, divided, shape.lead)
