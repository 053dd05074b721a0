"""The Rollouts of one release: start them, hear them, never leave one behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ActivityError, ChildWorkflowError, WorkflowAlreadyStartedError

from workflows.contracts.targets import TargetActivities
from workflows.engine import calls
from workflows.engine.outbox import Outbox
from workflows.engine.visibility import ENVIRONMENT, NAME, PHASE, VERSION, cut
from workflows.model.messages import Command, Report, RolloutOrder
from workflows.model.status import RolloutResult, RolloutStatus, Wait
from workflows.model.target import Mark

_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=1)
"""Between tries for a lock: each costs ten history events."""


class Member:
    """One component's Rollout, from the wait for its lock to its result."""

    def __init__(self, order: RolloutOrder, wave: int, on_change: Callable[[Member], None]) -> None:
        self.order = order
        self.wave = wave
        self.status = RolloutStatus(component=order.target.component, rollout_id=order.target.rollout_id)
        self.events: set[str] = set()
        self.exposed = False
        self.failed = False
        """Whether its end was taken into account for the others."""
        self.result: RolloutResult | None = None
        self.open = set(order.open_barriers)
        self._on_change = on_change
        self._outbox = Outbox(order.target.rollout_id, "command", lambda: None)
        self._farewell: dict[str, str] | None = None
        self._early: list[Command] = []
        self._started = False
        self._pause = _PAUSE

    @property
    def name(self) -> str:
        """The component's name."""
        return self.order.target.component

    @property
    def is_over(self) -> bool:
        """Whether nothing of this component runs any more."""
        return self.result is not None

    @property
    def is_blocked(self) -> bool:
        """Whether the undo cannot go on by itself, as far as the Rollout said last."""
        return self.status.wait is not None and self.status.wait.reason == "UndoBlocked"

    @property
    def is_captured(self) -> bool:
        """Whether the Rollout holds its target; one that is released alone need not say so."""
        return "captured" in self.events or (self._started and bool(self.order.open_barriers))

    def tell(self, name: str, **more: Any) -> None:
        """Sends a command to whichever run holds the target; one that comes too early waits for the start."""
        if not self.is_over:
            command = Command.model_validate({"name": name, **more})
            self._outbox.send(command) if self._started else self._early.append(command)

    def go(self, barrier: str) -> None:
        """Opens a barrier for this member, once."""
        if barrier not in self.open:
            self.open.add(barrier)
            self.tell("go", barrier=barrier)

    def go_back(self, name: str, *, reason: str, message: str) -> None:
        """Tells the Rollout to undo; one that still waits for its lock never starts."""
        if self._farewell is None:
            self._farewell = {"reason": reason, "message": message, "name": name}
            if self._started and "undoing" not in self.events:
                self.tell(**self._farewell)

    def hear(self, report: Report) -> None:
        """Takes a report of the Rollout."""
        self.events.add(report.event)
        self.status = report.status
        self.exposed = self.exposed or report.status.weight > 0 or report.event == "stage"
        self._on_change(self)

    async def run(self) -> None:
        """Starts the Rollout when its lock is free, follows it, and restores the target when it was lost."""
        result = await self._follow(self.order)
        if result is None or result.reason == "Superseded":
            restored = await self._restore()
            result = result if result is not None and restored.reason == "NothingToUndo" else restored
        self.result = result
        self._on_change(self)

    async def _restore(self) -> RolloutResult:
        """Undoes what a lost or superseded run of this release left, if it left anything."""
        order = self.order.model_copy(update={"mode": "undo", "mark": None, "component": None})
        while True:
            restored = await self._follow(order)
            if restored is not None:
                return restored

    async def _follow(self, order: RolloutOrder) -> RolloutResult | None:
        """One Rollout from start to result; None when it was terminated, timed out or failed without a result."""
        undo = order.mode == "undo"
        while True:
            if self._farewell is not None and not undo:
                return RolloutResult(component=self.name, outcome="Aborted", reason="NeverStarted", changed=False)
            try:
                handle = await workflow.start_child_workflow(
                    "Rollout",
                    order,
                    id=order.target.rollout_id,
                    result_type=RolloutResult,
                    parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
                    search_attributes=_attributes(order),
                    static_summary=f"{'Restore' if undo else 'Release'} {self.name} {order.release.version}",
                )
            except WorkflowAlreadyStartedError:
                await self._wait_for_lock(undo=undo)
                continue
            self._started = True
            self._pause = _PAUSE
            self.status = self.status.model_copy(update={"run_id": handle.first_execution_run_id or "", "wait": None})
            for command in self._early:
                self._outbox.send(command)
            self._early.clear()
            if self._farewell is not None:
                self.tell(**self._farewell)
            self._on_change(self)
            try:
                result: RolloutResult = await handle
            except ChildWorkflowError:
                return None
            return result

    async def _wait_for_lock(self, *, undo: bool) -> None:
        if undo:
            self._started = True
            self.tell("undo", reason="Orphaned", message="its release lost this run")
        elif self.status.wait is None:
            wait = Wait(reason="TargetBusy", message=await self._holder(), since=workflow.now())
            self.status = self.status.model_copy(update={"phase": "Waiting", "wait": wait})
            self._on_change(self)
        pause, self._pause = self._pause, min(self._pause * 1.5, _LONGEST_PAUSE)
        try:
            await workflow.wait_condition(lambda: self._farewell is not None and not undo, timeout=pause)
        except TimeoutError:
            return

    async def _holder(self) -> str:
        """Who holds the lock, as far as the mark beside the target says."""
        lock = self.order.target.rollout_id
        try:
            line = calls.Line(self.order.target.queue)
            mark: Mark | None = await calls.call(
                TargetActivities.find_mark, self.order.target, calls.USUAL, "See who holds the target", line
            )
        except ActivityError:
            mark = None
        if mark is None:
            return f"{lock} runs for somebody else"
        return f"{lock} runs for {mark.release.workflow_id}, which releases {mark.version}"


class Group:
    """All members in the order of their locks, so that two groups never wait for each other in a circle."""

    def __init__(self, members: list[Member]) -> None:
        self.members = sorted(members, key=lambda member: member.order.target.key)
        self._tasks: list[asyncio.Task[None]] = []

    async def capture(self) -> None:
        """Starts the Rollouts one after the other; each locks and captures, nothing more, until it is told to go."""
        for member in self.members:
            self._tasks.append(asyncio.create_task(member.run()))
            await workflow.wait_condition(partial(_is_settled_in, member))

    def find(self, component: str) -> Member | None:
        """The member with this name."""
        return next((member for member in self.members if member.name == component), None)

    @property
    def is_over(self) -> bool:
        """Whether every Rollout has closed."""
        return all(member.is_over for member in self.members)

    def _gives_way(self, wave: int) -> bool:
        """Whether nobody waits for this wave's undo: it is over, or where it is not, it waits for a person."""
        return all(member.is_over or member.is_blocked for member in self.members if member.wave == wave)

    def running(self) -> list[Member]:
        """Members that have no result yet."""
        return [member for member in self.members if not member.is_over]

    async def undo(self, name: str, *, reason: str, message: str) -> None:
        """Tells everybody to go back, dependants first; a blocked undo gives up its turn and holds nobody back."""
        self.members = self.members[: len(self._tasks)]
        for wave in sorted({member.wave for member in self.members}, reverse=True):
            for member in self.members:
                if member.wave == wave:
                    member.go_back(name, reason=reason, message=message)
            await workflow.wait_condition(partial(self._gives_way, wave))


def _attributes(order: RolloutOrder) -> TypedSearchAttributes:
    """What lists show of a Rollout; given at its start they cost no history."""
    release = order.release
    values = {NAME: release.name, ENVIRONMENT: release.environment, VERSION: release.version, PHASE: "Pending"}
    return TypedSearchAttributes([SearchAttributePair(key, cut(value)) for key, value in values.items()])


def _is_settled_in(member: Member) -> bool:
    return member.is_over or member.is_captured
