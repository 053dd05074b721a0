"""Run versions: absolute wishes per slot, and waiting until the world follows."""

from __future__ import annotations

from abc import ABC, abstractmethod

from temporalio import activity

from workflows.model.shapes import Message, Sentence
from workflows.model.target import Claim, ReleaseRef, Slot, SlotState, Target, Template


class DeployRequest(Message):
    """The slot shall run `replicas` instances of `template`; a slot with another template is replaced in place."""

    target: Target
    claim: Claim
    slot: Slot
    template: Template
    replicas: int
    max_surge: int = 1
    max_unavailable: int = 0
    share: float = 0
    """Percent of the stable slot's present number: the slot gets this, `replicas`, or what it has, whatever is most."""
    drain_seconds: float = 0
    """For open requests of users who have been sent elsewhere, before what serves is taken away. A provider that
    drains each instance by itself needs none."""
    ready_within_seconds: float | None = None
    """Given, the activity goes on to wait as `wait_ready` does: one activity costs half the history of two."""


class ScaleRequest(Message):
    target: Target
    claim: Claim
    slot: Slot
    replicas: int
    share: float = 0
    """As in DeployRequest."""
    drain_seconds: float = 0
    """As in DeployRequest."""
    ready_within_seconds: float | None = None
    """As in DeployRequest."""


class WaitReadyRequest(Message):
    target: Target
    claim: Claim
    slot: Slot
    replicas: int
    """Ready instances of the slot's wanted template to wait for, with no others left; 0 waits until nothing runs."""
    timeout_seconds: float = 300


class ReadyResult(Message):
    ready: bool
    state: SlotState
    message: Sentence = ""
    """What blocks, in one sentence, when not ready."""


class RetireRequest(Message):
    target: Target
    claim: Claim
    slot: Slot
    drain_seconds: float = 30


class GatherRequest(Message):
    target: Target
    release: ReleaseRef
    template: Template
    """The version that failed."""
    reason: str = ""
    message: str = ""


class Gathered(Message):
    command: str = ""
    """By which people read what was kept; empty where the provider keeps nothing."""


class WorkloadActivities(ABC):
    """What workflows do to instances.

    Every write is absolute, idempotent and refused (`Fenced`) without the exact claim.
    """

    @activity.defn(name="workloads.deploy")
    @abstractmethod
    async def deploy(self, request: DeployRequest) -> ReadyResult:
        """Writes the wish after the drain, and waits for it only when asked to. Heartbeats."""

    @activity.defn(name="workloads.scale")
    @abstractmethod
    async def scale(self, request: ScaleRequest) -> ReadyResult:
        """As `deploy`, for the number of instances."""

    @activity.defn(name="workloads.wait_ready")
    @abstractmethod
    async def wait_ready(self, request: WaitReadyRequest) -> ReadyResult:
        """Waits, heartbeating, until the slot has what it wants or the time is over; "not ready" is a value."""

    @activity.defn(name="workloads.retire")
    @abstractmethod
    async def retire(self, request: RetireRequest) -> None:
        """Drains and removes everything in the slot; an empty slot is fine. Heartbeats.

        Errors: NotReady, naming what has not left, when that takes long; asked again, it goes on.
        """

    @activity.defn(name="workloads.gather")
    @abstractmethod
    async def gather(self, request: GatherRequest) -> Gathered:
        """Keeps what pods, events and logs tell of a version that failed, before its undo takes them away.

        Changes nothing that a release depends on, so it needs no claim.
        """
