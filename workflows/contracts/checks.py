"""Ask the new version itself before users do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from temporalio import activity

from workflows.model.shapes import Message, Sentence
from workflows.model.target import Slot, Target


class CheckRequest(Message):
    target: Target
    slot: Slot
    checks: tuple[dict[str, Any], ...]
    """The component's checks, each with its `kind`."""


class CheckResult(Message):
    passed: bool
    message: Sentence = ""
    """What failed, on which instance, with the answer's status; or how many passed."""


class CheckActivities(ABC):
    """Checks of the new version."""

    @activity.defn(name="checks.run")
    @abstractmethod
    async def run(self, request: CheckRequest) -> CheckResult:
        """Runs every check against every ready instance of the slot; a "no" is a value. Heartbeats."""
