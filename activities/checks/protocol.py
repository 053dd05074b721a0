"""What a check implements: one question to one instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from activities.workloads.protocol import Endpoint


class Answer(NamedTuple):
    """Whether an instance passed, and what it said when not."""

    passed: bool
    message: str = ""


class CheckProvider(Protocol):
    """Asks one instance once; tries, pauses and instances are the caller's business."""

    async def ask(self, check: Mapping[str, Any], endpoint: Endpoint) -> Answer:
        """A "no" is an answer, and so is silence. Errors: Rejected for a check that this worker cannot read."""
        ...

    async def close(self) -> None:
        """Gives connections back; idempotent."""
        ...
