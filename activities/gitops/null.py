"""No GitOps: nobody but people and releases changes a target."""

from __future__ import annotations

from collections.abc import Sequence

from activities.clusters.fence import FencedObject
from workflows.model.target import Claim, Sync, Target, Template


class NoGitOps:
    """Finds nothing."""

    async def find(
        self,
        target: Target,  # noqa: ARG002
        template: Template,  # noqa: ARG002
        objects: Sequence[FencedObject],  # noqa: ARG002
    ) -> tuple[Sync, ...]:
        return ()

    async def pause(self, target: Target, claim: Claim, syncs: Sequence[Sync]) -> None:
        pass

    async def resume(self, target: Target, claim: Claim, syncs: Sequence[Sync]) -> None:
        pass

    async def await_git(
        self,
        target: Target,  # noqa: ARG002
        claim: Claim,  # noqa: ARG002
        syncs: Sequence[Sync],  # noqa: ARG002
        *,
        seconds: float,  # noqa: ARG002
    ) -> str:
        return ""
