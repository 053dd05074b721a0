"""Settle what lost releases left behind.

Acts on the marks that stand beside targets, never on visibility: a closed run keeps its last attributes for ever. What
it starts is the lock-holding Rollout with the orphan's mark; that one checks the mark again and ends quietly when it
changed. A Rollout that is open and whose release is not is told to go back.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from workflows.contracts.targets import MarkFound, TargetActivities
from workflows.engine.outbox import RELEASE_GONE
from workflows.engine.reach import ask_everywhere
from workflows.model.messages import Command, RolloutOrder
from workflows.model.target import Mark

SCHEDULE_ID = "headgate-janitor"
"""The schedule, and the prefix of the workflow ids it starts."""


@workflow.defn(name="Janitor")
class Janitor:
    """One round over all marks; the schedule starts the next."""

    @workflow.run
    async def run(self) -> int:
        """Returns how many targets it took up; it does not wait until they are settled."""
        marks: dict[str, list[MarkFound]]
        marks, _ = await ask_everywhere(TargetActivities.find_marks, None, "Find marks")
        settled = 0
        for queue, here in marks.items():
            for found in here:
                if found.orphaned:
                    settled += await self._settle(found.mark, queue)
                elif found.forsaken:
                    settled += await self._call_back(found.mark)
        return settled

    async def _call_back(self, mark: Mark) -> int:
        command = Command(name="undo", reason="Orphaned", message=RELEASE_GONE)
        rollout = workflow.get_external_workflow_handle(mark.target.rollout_id, run_id=mark.rollout_run_id)
        try:
            await rollout.signal("command", command)
        except ApplicationError:  # It has ended meanwhile.
            return 0
        return 1

    async def _settle(self, mark: Mark, queue: str) -> int:
        target = mark.target.model_copy(update={"queue": queue})
        try:
            await workflow.start_child_workflow(
                "Rollout",
                RolloutOrder(release=mark.release, mode="undo", target=target, mark=mark),
                id=mark.target.rollout_id,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"Settle {mark.target.component} after a lost release of {mark.version}",
            )
        except WorkflowAlreadyStartedError:
            return 0
        return 1
