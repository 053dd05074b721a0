"""What a kind of workload implements whose references can be checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from activities.clusters.fence import FencedObject
from activities.registry import Registry
from activities.traffic.protocol import TrafficRouter
from workflows.contracts.references import ClusterSeen, Described, DescribeRequest, ReferenceProblem
from workflows.model.plan import ComponentPlan, RolloutPlan
from workflows.model.target import Target, TargetState, Template


@dataclass(frozen=True)
class Look:
    """One component, and what its providers said of it."""

    component: ComponentPlan
    objects: tuple[FencedObject, ...] = ()
    """The write set of its release."""
    state: TargetState | None = None
    """What is there now; None where nobody could tell."""
    plan: RolloutPlan | None = None
    """The steps from there; None where they are refused, or where another release is under way."""

    @property
    def target(self) -> Target:
        """Where it runs."""
        return self.component.target

    def problem(self, field: str, message: str, *, is_certain: bool = True) -> ReferenceProblem:
        """A problem of this component."""
        return ReferenceProblem(component=self.component.name, field=field, message=message, is_certain=is_certain)


@dataclass(frozen=True)
class Checked:
    """What was found out about several components together."""

    problems: tuple[ReferenceProblem, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)
    """By component, those whose tags became digests."""
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By component, what a release arranges beside its own objects."""


def merged(parts: Iterable[Checked]) -> Checked:
    """All that several looks found out."""
    parts = list(parts)
    return Checked(
        tuple(problem for part in parts for problem in part.problems),
        {name: made for part in parts for name, made in part.templates.items()},
        {name: notes for part in parts for name, notes in part.notes.items()},
    )


class ReferenceChecks(Protocol):
    """Looks at what workloads of one kind are in clusters and what they refer to; changes nothing."""

    async def check(self, looks: Sequence[Look]) -> Checked:
        """What is missing for components of one cluster. Errors: Unavailable."""
        ...

    async def survey(self) -> list[ClusterSeen]:
        """Whether releases can be carried out in each cluster, and what is left over there."""
        ...

    async def describe(self, request: DescribeRequest, routers: Registry[TrafficRouter]) -> Described:
        """What is around a workload. Errors: NotFound, Denied, Unavailable."""
        ...
