"""Send users to versions: absolute weights, verified at the data plane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from temporalio import activity

from workflows.model.shapes import Message, Sentence
from workflows.model.target import Backend, Claim, Slot, Target, TrafficState

Verification = Literal["verified", "notYet", "unsupported"]
"""`verified`: new requests follow the weights, seen at the data plane. `unsupported`: this router cannot tell."""


class ShiftRequest(Message):
    target: Target
    claim: Claim
    weights: dict[Backend, float]
    """Percent by backend; they sum to 100."""
    preview_to: Slot | None = None
    """Where header matches and the preview host lead; None takes them away."""
    minimum_ready: dict[Backend, int] = {}
    """Raising a backend's weight is refused below this many ready endpoints (1 when not given)."""


class Shifted(Message):
    verification: Verification
    state: TrafficState
    """The weights that the router expressed; it rounds down what it cannot."""
    message: Sentence = ""


class VerifyRequest(Message):
    target: Target
    weights: dict[Backend, float]


class RestoreRequest(Message):
    target: Target
    claim: Claim
    state: TrafficState
    """The recorded state, restored to the letter."""


class TrafficActivities(ABC):
    """What workflows do to a router.

    Every write is absolute, idempotent and refused (`Fenced`) without the exact claim.
    """

    @activity.defn(name="traffic.shift")
    @abstractmethod
    async def shift(self, request: ShiftRequest) -> Shifted:
        """Writes the weights in one step and waits a few seconds for their verification.

        Errors: NotReady when a backend whose weight rises has no ready endpoints, in undo too; Fenced.
        """

    @activity.defn(name="traffic.verify")
    @abstractmethod
    async def verify(self, request: VerifyRequest) -> Shifted:
        """Asks the data plane whether new requests follow the weights; changes nothing."""

    @activity.defn(name="traffic.restore")
    @abstractmethod
    async def restore(self, request: RestoreRequest) -> Shifted:
        """Writes back a recorded state, preview and matches included, and verifies it. Errors as `shift`."""
