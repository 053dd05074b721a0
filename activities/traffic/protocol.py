"""What a traffic router implements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from activities.clusters.fence import FencedObject
from workflows.contracts.traffic import Verification
from workflows.model.target import Backend, Claim, Slot, Target, TrafficState


class Verified(NamedTuple):
    """What the data plane says about weights."""

    verification: Verification
    message: str = ""


@runtime_checkable
class Follower(Protocol):
    """A router whose writes name instances that somebody may replace at any time."""

    async def follow(self, target: Target) -> None:
        """Keeps what is written in force while stable's instances are replaced, until cancelled.

        Returns at once where there is nothing to follow. Only the run that holds the target's claim writes.
        """
        ...


@runtime_checkable
class Sticky(Protocol):
    """A router that may hold users to one backend."""

    async def affinity(self, target: Target) -> str:
        """What holds them, in words; empty where nothing does. Changes nothing."""
        ...


class TrafficRouter(Protocol):
    """Sends users to the backends of a target. Every write tests its claim on the object it writes."""

    def objects(self, target: Target) -> Sequence[FencedObject]:
        """This router's part of the write set. Errors: NotFound, Rejected when the route serves another target."""
        ...

    async def read(self, target: Target) -> TrafficState | None:
        """What is asked for now; None where there is no router. Changes nothing."""
        ...

    def wanted(self, target: Target, weights: dict[Backend, float], preview_to: Slot | None) -> TrafficState:
        """The state that a shift to these weights asks for, as far as the router can express it.

        Errors: Unsupported.
        """
        ...

    async def check(self, target: Target, claim: Claim) -> None:
        """Whether this claim may write now; changes nothing. Errors: Fenced, ForeignChange."""
        ...

    async def write(self, target: Target, claim: Claim, state: TrafficState) -> None:
        """Makes the state the wish, to the letter, in one step; the same state again changes nothing.

        Errors: Fenced.
        """
        ...

    async def verify(self, target: Target, weights: dict[Backend, float], *, patience: float = 0) -> Verified:
        """Asks the data plane, again and again for `patience` seconds, whether new requests follow the weights."""
        ...
