"""Settle what lost releases left behind.

Acts on the marks that stand beside targets, never on visibility: a closed run keeps its last attributes for ever. What
it starts is the lock-holding Rollout with the orphan's mark; that one checks the mark again and ends quietly when it
changed.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

from workflows.contracts.targets import MarkFound, TargetActivities
from workflows.engine import calls
from workflows.model.messages import RolloutOrder

SCHEDULE_ID = "headgate-janitor"
"""The schedule, and the prefix of the workflow ids it starts."""


@workflow.defn(name="Janitor")
class Janitor:
    """One round over all marks; the schedule starts the next."""

    @workflow.run
    async def run(self) -> int:
        """Returns how many orphaned targets it took up; it does not wait until they are settled."""
        marks: list[MarkFound] = await calls.call(TargetActivities.find_marks, None, calls.WRITE, "Find marks")
        settled = 0
        for found in marks:
            if found.orphaned:
                settled += await self._settle(found)
        return settled

    async def _settle(self, found: MarkFound) -> int:
        mark = found.mark
        try:
            await workflow.start_child_workflow(
                "Rollout",
                RolloutOrder(release=mark.release, mode="undo", target=mark.target, mark=mark),
                id=mark.target.rollout_id,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"Settle {mark.target.component} after a lost release of {mark.version}",
            )
        except WorkflowAlreadyStartedError:
            return 0
        return 1
