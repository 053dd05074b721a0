"""The way forward of one Rollout: its steps in order, what it waits for, and what users can reach."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

from temporalio import workflow

from workflows.analysis.reasons import FOREIGN_CHANGE
from workflows.engine.checkpoints import Checkpoint
from workflows.engine.foreign import Foreign
from workflows.engine.guard import Arms, Guard
from workflows.engine.steps import StepFailed, StepRunner, wait_of
from workflows.model.messages import RolloutOrder
from workflows.model.plan import Approve, AwaitGit, Barrier, Observe, Retire, RolloutPlan, Shift, Step
from workflows.model.status import Phase, Wait
from workflows.model.target import Backend, Claim

_GIT_SOON, _GIT_LATER = 20.0, 1500.0
"""Seconds of the first question whether Git names a version, and of each later one; each costs history."""

_WAITS = Observe | Approve | Barrier | AwaitGit


class Teller(Protocol):
    """Whoever shows and reports what a journey does."""

    def show(self, phase: Phase | None = None, summary: str = "", wait: Wait | None = None) -> None:
        """Shows a phase (None keeps it), a line (empty keeps it), and what is waited for."""

    def report(self, event: str, **more: Any) -> None:
        """Tells Release."""


class Journey:
    """Walks one plan; commands and the guard change it from outside while it walks."""

    def __init__(self, order: RolloutOrder, guard: Guard, foreign: Foreign, teller: Teller) -> None:
        self.order = order
        self.guard = guard
        self.foreign = foreign
        self.plan: RolloutPlan | None = None
        self.runner: StepRunner | None = None
        self.index = 0
        """The current step."""
        self.stage = 0
        self.exposed = False
        """Whether users could ever reach the new version."""
        self.paused = False
        self.full = False
        """Stages pass without observation: somebody said so."""
        self.committed = False
        """Nothing is undone any more."""
        self.leftover: Retire | None = None
        """What goes away with the mark."""
        self.home: Shift | None = None
        """Where users are led once that is gone."""
        self.git_until: datetime | None = None
        """When a wait for Git ends the way forward, while there is one."""
        self.git_told = False
        """Whether people know that Git is behind."""
        self.barriers = set(order.open_barriers)
        self.granted: set[str] = set()
        self._teller = teller
        self._resumed_at: int | None = None

    def adopt(self, plan: RolloutPlan, claim: Claim) -> None:
        """Takes a plan to walk."""
        self.plan = plan
        self.guard.analysis = plan.analysis
        self.runner = StepRunner(self.guard.reach, claim)
        if plan.baseline.traffic:
            self.runner.verified = dict(plan.baseline.traffic.weights)

    def take_over(self, checkpoint: Checkpoint, claim: Claim) -> None:
        """Goes on where the run before this one waited."""
        self.adopt(checkpoint.plan, claim)
        self._runner.verified = dict(checkpoint.verified)
        self.index = self._resumed_at = checkpoint.index
        self.stage, self.exposed = checkpoint.stage, checkpoint.exposed
        self.paused, self.full = checkpoint.paused, checkpoint.full
        self.barriers, self.granted = set(checkpoint.barriers), set(checkpoint.granted)
        self.git_until, self.git_told = checkpoint.git_until, checkpoint.git_told
        guard = self.guard
        guard.evidence, guard.segment, guard.metrics = checkpoint.evidence, checkpoint.segment, checkpoint.metrics
        self.foreign.taken = dict(checkpoint.taken)
        guard.observed, guard.hold, guard.weighed = checkpoint.observed, checkpoint.hold, checkpoint.weighed

    def checkpoint(self) -> Checkpoint:
        """What the next run needs to go on."""
        guard = self.guard
        return Checkpoint(
            plan=self._plan,
            index=self.index,
            verified=self.verified,
            stage=self.stage,
            exposed=self.exposed,
            paused=self.paused,
            full=self.full,
            barriers=tuple(sorted(self.barriers)),
            granted=tuple(sorted(self.granted)),
            git_until=self.git_until,
            git_told=self.git_told,
            evidence=guard.evidence,
            segment=guard.segment,
            observed=guard.observed,
            metrics=guard.metrics,
            weighed=guard.weighed,
            hold=guard.hold,
            taken=self.foreign.taken,
        )

    @property
    def is_waiting(self) -> bool:
        """Whether the current step only waits, so that nothing is under way."""
        step = self._step_at(self.index)
        return step is not None and isinstance(step.action, _WAITS) and not self.committed

    @property
    def verified(self) -> dict[Backend, float]:
        """The weights verified last."""
        return (self.runner.verified or {}) if self.runner else {}

    @property
    def asked(self) -> dict[Backend, float]:
        """The weights asked for last."""
        return (self.runner.asked or {}) if self.runner else {}

    @property
    def weight(self) -> float:
        """Percent of users that reach the new version by the last verified weights."""
        if self.plan is None or not self.exposed:
            return 0.0
        step = self.plan.steps[min(self.index, len(self.plan.steps) - 1)]
        verified = self.verified
        if not verified:
            return 100.0 if step.new else 0.0
        return float(sum(weight for slot, weight in verified.items() if slot in step.new))

    @property
    def stages(self) -> tuple[float, ...]:
        """Percent of users on the new version in each stage."""
        return tuple(_stage_weights(self.plan)) if self.plan else ()

    async def walk(self) -> None:
        """Does the steps to their end. Errors: StepFailed."""
        steps = self._plan.steps
        await workflow.wait_condition(lambda: "start" in self.barriers)
        while self.index < len(steps):
            await self._may_go_on(steps[self.index])
            self.index += await self._do(steps[self.index])

    async def _may_go_on(self, step: Step) -> None:
        if self.paused and not self.committed:
            self._teller.show("Paused", wait=waiting("Paused", "somebody paused the release; resume or abort it"))
            await workflow.wait_condition(lambda: not self.paused)
        if not isinstance(step.action, Observe | Approve | Barrier):
            # A gate may open while nobody can tell how the version does: no user is moved on that.
            await workflow.wait_condition(lambda: self.guard.may_move or self.committed)

    async def _do(self, step: Step) -> int:
        """Does one step and returns how many steps that were."""
        self._teller.show(step.phase, step.summary)
        self._arm(step)
        action = step.action
        if isinstance(action, Approve):
            await self._ask(action)
        elif isinstance(action, Observe):
            await self._observe(action)
        elif isinstance(action, AwaitGit):
            await self._await_git()
        elif isinstance(action, Barrier):
            await self._meet(action)
        elif self.committed and isinstance(action, Retire):
            self.leftover = action
        elif self.committed and isinstance(action, Shift):
            self.home = action
        else:
            return await self._perform(step)
        return 1

    async def _perform(self, step: Step) -> int:
        """Does a step, again after somebody else's change of what it needs was settled."""
        wait = wait_of(step, self._step_at(self.index + 1))
        while True:
            try:
                await self._runner.perform(step, wait)
            except StepFailed as error:
                if error.reason != FOREIGN_CHANGE:
                    raise
                self.foreign.meet(error.field, error.message)
                await workflow.wait_condition(lambda: self.guard.hold is None)
                self._teller.show(step.phase, step.summary)
            else:
                return 1 if wait is None else 2

    def _arm(self, step: Step) -> None:
        """Tells the guard who can be reached from here on."""
        self.exposed = self.exposed or bool(step.new)
        runner = self._runner
        weights = getattr(step.action, "weights", None) or runner.verified or {}
        self.guard.watch(Arms(step.new, step.old), weights, self._upcoming())

    def _step_at(self, index: int) -> Step | None:
        steps = self._plan.steps
        return steps[index] if index < len(steps) else None

    def _upcoming(self) -> Observe | None:
        """The next stage, when nothing has to be waited for before it."""
        for step in self._plan.steps[self.index + 1 :]:
            if isinstance(step.action, Observe):
                return step.action if step.action.seconds else None
            if isinstance(step.action, Approve | Barrier):
                return None
        return None

    async def _observe(self, action: Observe) -> None:
        self.stage = action.stage
        self._teller.report("stage")
        if action.seconds and not (self.full and action.stage):
            already = self.guard.observed if self._resumed_at == self.index else 0
            await self.guard.pass_stage(action, already=already)
            await workflow.wait_condition(lambda: self.guard.hold is None)

    async def _ask(self, action: Approve) -> None:
        component = self.order.component
        policy = (component.gate, *component.further_gates) if component else ()
        shared = {gate.name for gate in policy if gate is not None}
        step = "start" if action.gate.name in shared else f"{self.order.target.component}.{self.index}"
        instance = f"{action.gate.name}/{self.order.digest[:12]}/{step}"
        if instance in self.granted:
            return
        self._teller.show(
            wait=waiting("ApprovalWanted", f"gate {action.gate.name} needs {action.gate.count} approval(s)"),
        )
        self._teller.report("gateWanted", gate=action.gate, instance=instance)
        await workflow.wait_condition(lambda: instance in self.granted)
        self._teller.show()

    async def _meet(self, action: Barrier) -> None:
        if action.name not in self.barriers:
            self._teller.show(wait=waiting("Group", f"the other components before {action.name}"))
            self._teller.report("passed" if action.name == "promote" else "watched")
            await workflow.wait_condition(lambda: action.name in self.barriers)
        if action.name == "commit":
            self.committed = True
            self.guard.stop()
        self._teller.show()

    async def _await_git(self) -> None:
        """Waits under the guard until Git names the version; where it does not in time, the release goes back."""
        longest = _GIT_SOON
        until = self.git_until = self.git_until or workflow.now() + timedelta(seconds=self.order.hold_seconds)
        if self.git_told:
            self._teller.show("Waiting", wait=waiting("GitBehind", "Git did not name the version yet", until))
        while not (state := await self._runner.await_git(min(_left(until), longest))).named:
            if not _left(until):
                raise StepFailed("GitBehind", f"nobody brought Git up to date in time: {state.message}")
            self._teller.show("Waiting", wait=waiting("GitBehind", state.message, until))
            if not self.git_told:
                self._teller.report("hold", reason="GitBehind", message=state.message)
            self.git_told, longest = True, _GIT_LATER
        self.git_until = None
        self._teller.show("Watching")

    @property
    def _plan(self) -> RolloutPlan:
        assert self.plan is not None  # noqa: S101 - `adopt` comes before any step
        return self.plan

    @property
    def _runner(self) -> StepRunner:
        assert self.runner is not None  # noqa: S101 - as above
        return self.runner


def waiting(reason: str, message: str, until: datetime | None = None) -> Wait:
    """What is waited for, since now."""
    return Wait(reason=reason, message=message, since=workflow.now(), until=until)


def _left(until: datetime) -> float:
    """Seconds that are left."""
    return max(0.0, (until - workflow.now()).total_seconds())


def _stage_weights(plan: RolloutPlan) -> list[float]:
    weights: list[float] = []
    new = 0.0
    for step in plan.steps:
        shifted = getattr(step.action, "weights", None)
        if shifted is not None:
            new = float(sum(weight for slot, weight in shifted.items() if slot in step.new))
        if isinstance(step.action, Observe) and step.action.stage:
            weights.append(new)
    return weights
