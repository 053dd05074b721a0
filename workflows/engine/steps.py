"""Carry out one action of a plan or of an undo through the contracts, and nothing more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.contracts.checks import CheckActivities, CheckRequest
from workflows.contracts.targets import AwaitGitRequest, GitState, SettleRequest, TargetActivities
from workflows.contracts.traffic import ShiftRequest, TrafficActivities, VerifyRequest
from workflows.contracts.workloads import (
    DeployRequest,
    ReadyResult,
    RetireRequest,
    ScaleRequest,
    WaitReadyRequest,
    WorkloadActivities,
)
from workflows.engine import calls
from workflows.engine.calls import Profile
from workflows.engine.reach import Reach
from workflows.model.plan import Deploy, Retire, RunChecks, Scale, Shift, Step, WaitReady
from workflows.model.target import Backend, Claim, Promoted, Target

_VERIFY_PAUSE = timedelta(seconds=2)
_VERIFY_TRIES = 30


class StepFailed(Exception):
    """A step that could not be done; carries the reason and a sentence."""

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        """Of a foreign change: the object and its field."""


@contextmanager
def _failing() -> Iterator[None]:
    """An activity that is out of tries fails the step; one that we cancelled does not."""
    try:
        yield
    except ActivityError as error:
        if calls.is_cancelled(error):
            raise
        failure = calls.failure_of(error)
        raise StepFailed(failure.reason, failure.message, failure.field) from error


@dataclass
class StepRunner:
    """Performs actions with one claim; remembers the weights that were verified last."""

    reach: Reach
    claim: Claim
    write: Profile = calls.USUAL
    wait: Profile = calls.WAIT
    asked: dict[Backend, float] | None = None
    verified: dict[Backend, float] | None = None

    @property
    def target(self) -> Target:
        """What the actions are about."""
        return self.reach.target

    async def perform(self, step: Step, then: WaitReady | None = None) -> None:
        """Does one step that changes or asks the world, and the wait that belongs to it. Errors: StepFailed."""
        action = step.action
        table: dict[type, Callable[[Any, str], Awaitable[None]]] = {
            WaitReady: self._wait_ready,
            RunChecks: self._check,
            Shift: self._shift,
            Retire: self._retire,
        }
        with _failing():
            if isinstance(action, Deploy | Scale):
                await self._size(action, step.summary, then)
            else:
                await table[type(action)](action, step.summary)

    async def _size(self, action: Deploy | Scale, summary: str, then: WaitReady | None) -> None:
        within = None if then is None else then.timeout_seconds
        profile = self.wait if then is not None or action.drain_seconds else self.write
        result: ReadyResult
        if isinstance(action, Deploy):
            wish = DeployRequest(
                target=self.target,
                claim=self.claim,
                slot=action.slot,
                template=action.template,
                replicas=action.replicas,
                max_surge=action.max_surge,
                max_unavailable=action.max_unavailable,
                share=action.share,
                drain_seconds=action.drain_seconds,
                ready_within_seconds=within,
            )
            result = await self.reach.call(WorkloadActivities.deploy, wish, profile, summary)
        else:
            size = ScaleRequest(
                target=self.target,
                claim=self.claim,
                slot=action.slot,
                replicas=action.replicas,
                share=action.share,
                drain_seconds=action.drain_seconds,
                ready_within_seconds=within,
            )
            result = await self.reach.call(WorkloadActivities.scale, size, profile, summary)
        if then is not None:
            _demand_ready(result, action.slot)

    async def _wait_ready(self, action: WaitReady, summary: str) -> None:
        request = WaitReadyRequest(
            target=self.target,
            claim=self.claim,
            slot=action.slot,
            replicas=action.replicas,
            timeout_seconds=action.timeout_seconds,
        )
        _demand_ready(await self.reach.call(WorkloadActivities.wait_ready, request, self.wait, summary), action.slot)

    async def _check(self, action: RunChecks, summary: str) -> None:
        request = CheckRequest(target=self.target, slot=action.slot, checks=action.checks)
        result = await self.reach.call(CheckActivities.run, request, self.wait, summary)
        if not result.passed:
            raise StepFailed("CheckFailed", result.message)

    async def _shift(self, action: Shift, summary: str) -> None:
        self.asked = dict(action.weights)
        request = ShiftRequest(
            target=self.target,
            claim=self.claim,
            weights=action.weights,
            preview_to=action.preview_to,
            minimum_ready=action.minimum_ready,
        )
        result = await self.reach.call(TrafficActivities.shift, request, self.write, summary)
        for _ in range(_VERIFY_TRIES):
            if result.verification != "notYet":
                break
            await workflow.sleep(_VERIFY_PAUSE)
            question = VerifyRequest(target=self.target, weights=action.weights)
            result = await self.reach.call(TrafficActivities.verify, question, self.write, f"Verify: {summary}")
        else:
            raise StepFailed("WeightNotVerified", result.message or "the data plane does not show the weights")
        self.verified = dict(result.state.weights)

    async def await_git(self, seconds: float) -> GitState:
        """Whether Git says what the target runs, after at most so many seconds. Errors: StepFailed."""
        request = AwaitGitRequest(target=self.target, claim=self.claim, limit_seconds=seconds)
        with _failing():
            state: GitState = await self.reach.call(
                TargetActivities.await_git, request, self.wait, "Wait until Git names the version"
            )
        return state

    async def _retire(self, action: Retire, summary: str) -> None:
        await self.reach.call(WorkloadActivities.retire, self._retirement(action), self.wait, summary)

    async def settle(self, promoted: Promoted | None, leftover: Retire | None, home: Shift | None) -> None:
        """Removes what is left of the old version, and what led there, and the mark. Errors: StepFailed."""
        request = SettleRequest(
            target=self.target,
            claim=self.claim,
            promoted=promoted,
            retire=None if leftover is None else self._retirement(leftover),
            weights={} if home is None else home.weights,
        )
        with _failing():
            await self.reach.call(TargetActivities.settle, request, self.wait, "Remove what is left, and the mark")

    def _retirement(self, action: Retire) -> RetireRequest:
        return RetireRequest(target=self.target, claim=self.claim, slot=action.slot, drain_seconds=action.drain_seconds)


def wait_of(step: Step, following: Step | None) -> WaitReady | None:
    """The wait that directly follows a change of a slot's size or template, when there is one.

    After a drain it is an activity of its own, because each resumes by its own seconds.
    """
    action, wait = step.action, following.action if following is not None else None
    if isinstance(action, Deploy | Scale) and isinstance(wait, WaitReady):
        same = (wait.slot, wait.replicas) == (action.slot, action.replicas)
        return wait if same and not action.drain_seconds else None
    return None


def _demand_ready(result: ReadyResult, slot: str) -> None:
    if not result.ready:
        raise StepFailed("NotReady", result.message or f"{slot} did not become ready in time")
