"""What a workload provider implements: instances per slot, who may write, and what is kept beside the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from activities.clusters.fence import FencedObject
from workflows.contracts.workloads import (
    DeployRequest,
    Gathered,
    GatherRequest,
    ReadyResult,
    RetireRequest,
    ScaleRequest,
    WaitReadyRequest,
)
from workflows.model.shapes import Message
from workflows.model.target import SLOTS, Autoscaler, Claim, Mark, Promoted, Slot, SlotState, Target


class Endpoint(NamedTuple):
    """A ready instance that routers may send requests to."""

    address: str
    """`host:port`."""
    version: str
    digest: str
    """Of its template: during a replacement a slot has two."""
    token: str
    """Names the instance as long as it lives, unlike its address."""


class Configuration(Message):
    """Digests of what the instances of a target are configured by, as it was when its release began."""

    key: str = ""
    """Made for this one release, so that no digest tells anything elsewhere."""
    digests: dict[str, str] = {}
    """By kind and name."""


class Record(Message):
    """What stands beside one target."""

    mark: Mark | None = None
    kept: tuple[Promoted, ...] = ()
    """The newest last."""
    configuration: Configuration = Configuration()
    """Empty where nothing is released."""


class WorkloadProvider(Protocol):
    """Runs the versions of a target. Every write tests its claim on the object it writes."""

    def objects(self, target: Target) -> Sequence[FencedObject]:
        """This provider's part of the write set. Errors: NotFound for a cluster it does not know."""
        ...

    async def scalers(self, target: Target) -> Sequence[FencedObject]:
        """The autoscalers in the write set: those of the mark, or those that are there now."""
        ...

    async def autoscalers(self, target: Target) -> tuple[Autoscaler, ...]:
        """What moves the stable slot's number besides releases; changes nothing."""
        ...

    async def hold(self, mark: Mark, claim: Claim) -> None:
        """Keeps autoscalers from shrinking the old version until the target is settled; idempotent. Errors: Fenced."""
        ...

    async def observe(self, target: Target, slots: Sequence[Slot] = SLOTS) -> dict[Slot, SlotState]:
        """What slots want, and what is ready in them now, asked and not remembered; changes nothing."""
        ...

    async def endpoints(self, target: Target, slot: Slot) -> list[Endpoint]:
        """The published instances of a slot that still run; changes nothing."""
        ...

    async def deploy(self, request: DeployRequest) -> SlotState:
        """Writes the wish and returns at once; `ready_within_seconds` is the bridge's business."""
        ...

    async def scale(self, request: ScaleRequest) -> SlotState:
        """As `deploy`. Errors: NotFound for an empty slot."""
        ...

    async def wait_ready(self, request: WaitReadyRequest) -> ReadyResult: ...

    async def retire(self, request: RetireRequest) -> None: ...

    async def record(self, target: Target) -> Record:
        """The mark and the kept versions beside a target."""
        ...

    async def put_mark(self, mark: Mark, claim: Claim) -> Mark:
        """Writes the mark where there is none, and returns the one that is there then. Errors: Fenced."""
        ...

    async def settle(self, target: Target, claim: Claim, promoted: Promoted | None) -> None:
        """Lets autoscalers go, takes the mark away and keeps the version; without a mark it does nothing.

        Errors: Fenced.
        """
        ...

    async def records(self) -> list[Record]:
        """What stands beside every target that this provider reaches."""
        ...


@runtime_checkable
class Witness(Protocol):
    """A provider that can tell why a version failed, after its instances are gone."""

    async def gather(self, request: GatherRequest) -> Gathered:
        """Keeps what there is to be known of the version; changes nothing else."""
        ...
