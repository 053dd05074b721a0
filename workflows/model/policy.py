"""The Policy document: what the platform team demands of every release. A spec can never lower it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from workflows.model.shapes import Document, Duration, Name, Weight

ForeignChanges = Literal["hold", "takeOver", "rollback"]


class AllowedTarget(Document):
    """A cluster and those of its namespaces that the environment may touch."""

    cluster: Name
    """An alias in the worker's settings."""
    namespaces: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Those of its namespaces that may be touched."""


class Floor(Document):
    """A least duration."""

    minimum: Duration = timedelta(0)
    """The shortest that a spec may ask for."""


class StrategyFloor(Document):
    """What a strategy must at least do here."""

    watch: Floor = Floor()
    """The watch after promotion."""
    observe: Floor = Floor()
    """Every stage's observation."""
    first_weight: Weight | None = None
    """The largest first stage."""
    entry: Literal["soft"] | None = None
    """`soft`: every canary enters softly, also one that is judged by rules; `entry: none` is refused."""


class Approval(Document):
    """A gate that people open."""

    name: Name
    """What stages and people call it."""
    count: Annotated[int, Field(ge=1, le=20)] = 1
    """Different people that must approve."""
    from_: Annotated[tuple[Name, ...], Field(alias="from", min_length=1)]
    """Groups whose members count."""
    expires: Duration = timedelta(hours=4)
    """An unanswered gate closes after this time: rejected before traffic moved, undone after."""
    override: tuple[Name, ...] = ()
    """Groups one of whose members opens the gate alone in an emergency."""
    remind_every: Duration | None = None
    """How often those who have not answered are asked again."""
    escalate_after: Duration | None = None
    """When somebody else is told that nobody answered."""


class Limits(Document):
    """How much may happen at one time."""

    parallel: Annotated[int, Field(ge=1, le=100)] = 10
    """Components of one release that move at the same time."""


class ManualRollback(Document):
    """What a person's return to an earlier version needs."""

    approvals: tuple[Approval, ...] = ()
    """At most an emergency approval."""


class Environment(Document):
    """One environment's demands."""

    targets: Annotated[tuple[AllowedTarget, ...], Field(min_length=1)]
    """The only clusters and namespaces that releases to this environment may touch."""
    strategies: dict[Literal["canary", "blueGreen", "rolling", "recreate"], StrategyFloor] | None = None
    """The strategies allowed here with their floors; without it all four are."""
    analysis: Literal["required", "optional"] = "optional"
    """`required`: every minute in which users reach the new version must have a metric that can decide."""
    approvals: tuple[Approval, ...] = ()
    """Gates of this environment; one that no stage names is asked for before users first reach the new version."""
    supersede: bool = True
    """Whether `--supersede` may undo a running release in favour of a new one."""
    advance: bool = True
    """Whether a person may end an observation early."""
    foreign_changes: ForeignChanges = "hold"
    """What a release does when somebody else changes a field that it wrote. `hold` asks people; `takeOver` writes it
    again, and holds when the same field is changed again within ten minutes; `rollback` undoes the release."""
    limits: Limits = Limits()
    """How much of a release may move at one time."""
    hotfix: dict[str, Any] | None = None
    """Approvals of hotfixes."""
    rollback: ManualRollback | None = None
    """What a person's return to an earlier version needs; an automatic one needs nobody."""
    windows: tuple[dict[str, Any], ...] = ()
    """When releases may begin to move users."""
    gates: dict[str, Any] | None = None
    """Results of other tools that must or should be good."""


class PolicySpec(Document):
    """Groups of people, and what each environment demands."""

    groups: dict[Name, tuple[str, ...]] = {}
    """Names of people by group."""
    environments: dict[Name, Environment]
    """The only environments there are."""


class Policy(Document):
    """What the platform team demands, by environment."""

    api_version: Literal["headgate.dev/v1"]
    kind: Literal["Policy"]
    spec: PolicySpec
    """Groups of people, and what each environment demands."""
