"""Workflows whose order was changed, to see that the replay notices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow

from workflows import release, rollout
from workflows.model.status import ReleaseResult, RolloutResult


@workflow.defn(name="Rollout")
class HesitantRollout(rollout.Rollout):
    """Waits before it captures."""

    @workflow.init
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)

    @workflow.run
    async def run(self, *given: Any) -> RolloutResult:
        """As the real one, a moment later."""
        await workflow.sleep(timedelta(seconds=1))
        return await super().run(*given)


@workflow.defn(name="Release")
class HesitantRelease(release.Release):
    """Waits before it plans."""

    @workflow.init
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)

    @workflow.run
    async def run(self, *given: Any) -> ReleaseResult:
        """As the real one, a moment later."""
        await workflow.sleep(timedelta(seconds=1))
        return await super().run(*given)
