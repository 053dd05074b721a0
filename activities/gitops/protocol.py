"""What keeps a GitOps controller and a release from undoing each other's work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from activities.clusters.fence import FencedObject
from workflows.model.target import Claim, Sync, Target, Template


class GitOps(Protocol):
    """Knows the controllers that apply Git's state to targets."""

    async def find(self, target: Target, template: Template, objects: Sequence[FencedObject]) -> tuple[Sync, ...]:
        """Whatever owns one of the objects; changes nothing. Errors: Unsupported, with what to write where."""
        ...

    async def pause(self, target: Target, claim: Claim, syncs: Sequence[Sync]) -> None:
        """Stops what is marked as to be paused, and returns when nothing of it is under way. Errors: NotReady."""
        ...

    async def resume(self, target: Target, claim: Claim, syncs: Sequence[Sync]) -> None:
        """Puts everything back as it was recorded, unless another release still needs it paused. Errors: Fenced."""
        ...

    async def await_git(self, target: Target, claim: Claim, syncs: Sequence[Sync], *, seconds: float) -> str:
        """Empty as soon as Git says what the target runs; after the time is over the sentence that says what is not."""
        ...
