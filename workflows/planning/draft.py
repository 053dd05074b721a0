"""A plan in the making: adds steps and follows in thought what each of them does.

Which slots run the new version within users' reach (`Step.new`) and which surely run the old one (`Step.old`) is
derived from that, never written down by a strategy; so a strategy cannot forget to have itself guarded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil

from workflows.model.plan import (
    Action,
    Approve,
    AwaitGit,
    Barrier,
    ComponentPlan,
    Deploy,
    Gate,
    Observe,
    Retire,
    RunChecks,
    Scale,
    Shift,
    Step,
    WaitReady,
)
from workflows.model.release import Component
from workflows.model.shapes import dump
from workflows.model.status import Phase
from workflows.model.target import SLOTS, Backend, Slot, TargetState, Template
from workflows.planning import sentences
from workflows.planning.ideal import applied, reachable


@dataclass
class Draft:
    """The steps so far and the target as they would leave it."""

    plan: ComponentPlan
    component: Component
    baseline: TargetState
    phase: Phase = "Preparing"
    """The phase of steps that do not have one by nature."""
    steps: list[Step] = field(default_factory=list)
    peak: int = 0
    """The most instances that exist at one time."""
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.baseline
        self._replacing: set[Slot] = set()
        self.peak = sum(self.baseline.slot(slot).replicas for slot in SLOTS)

    @property
    def new(self) -> Template:
        return self.plan.template

    @property
    def old(self) -> Template | None:
        """What users have been served by; None on a first release."""
        return self.baseline.slot("stable").template

    @property
    def size(self) -> int:
        """Instances that serve everybody: what runs, or what a first release asks for."""
        return self.baseline.slot("stable").replicas or self.component.workload.replicas

    @property
    def is_routed(self) -> bool:
        return self.plan.target.is_routed

    @property
    def entry_gates(self) -> tuple[Gate, ...]:
        """Gates before users first reach the new version that policy wants although no stage names them."""
        return (*([self.plan.gate] if self.plan.gate else []), *self.plan.further_gates)

    def deploy(  # noqa: PLR0913 - what a Deploy has.
        self,
        slot: Slot,
        template: Template,
        replicas: int,
        *,
        surge: int = 1,
        unavailable: int = 0,
        weight: float = 0,
    ) -> None:
        """Runs a template in a slot; `surge` and `unavailable` matter where something else runs there.

        A canary that is for a weight follows an autoscaler of stable, as stable itself always does.
        """
        before = self.state.slot(slot)
        is_other = before.template != template
        extra = surge if before.replicas and is_other else 0
        elsewhere = sum(self.state.slot(other).replicas for other in SLOTS if other != slot)
        self.peak = max(self.peak, elsewhere + max(before.replicas, replicas) + extra)
        self._add(
            Deploy(
                slot=slot,
                template=template,
                replicas=replicas,
                max_surge=surge,
                max_unavailable=unavailable,
                share=self._following(100 if slot == "stable" else weight),
                drain_seconds=self._drain(slot) if is_other else 0,
            )
        )

    def scale(self, slot: Slot, replicas: int, *, weight: float = 0) -> None:
        """Changes the number of instances for a weight; says nothing when it is surely right already."""
        share, before = self._following(weight), self.state.slot(slot).replicas
        if before != replicas or share:
            elsewhere = sum(self.state.slot(other).replicas for other in SLOTS if other != slot)
            self.peak = max(self.peak, elsewhere + replicas)
            drain = self._drain(slot) if replicas < before else 0
            self._add(Scale(slot=slot, replicas=replicas, share=share, drain_seconds=drain))
            self.wait(slot)

    def wait(self, slot: Slot, *, timeout: timedelta | None = None, rounds: int = 1) -> None:
        """Waits for what the slot wants, `rounds` times the usual time where instances are replaced in rounds."""
        limit = timeout or self.component.ready_within * rounds
        replicas = self.state.slot(slot).replicas
        self._add(WaitReady(slot=slot, replicas=replicas, timeout_seconds=limit.total_seconds()))

    def shift(self, weights: dict[Backend, float], *, preview_to: Slot | None = None, mirror: float = 0) -> None:
        """Moves users; a slot gets them only once it has all the instances it wants."""
        ready: dict[Backend, int] = {
            slot: self.state.slot(slot).replicas for slot in SLOTS if weights.get(slot, 0) > self.state.weight(slot)
        }
        self._add(Shift(weights=weights, preview_to=preview_to, minimum_ready=ready, mirror=mirror))

    def check(self, slot: Slot) -> None:
        """Runs the component's checks, if it has any."""
        if self.component.checks:
            self._add(RunChecks(slot=slot, checks=tuple(map(dump, self.component.checks))))

    def ask(self, gates: Iterable[Gate]) -> None:
        """Waits for people."""
        for gate in gates:
            self._add(Approve(gate=gate), "Waiting")

    def gate(self, name: str | None) -> list[Gate]:
        """The gate of a name that the spec mentions, as the policy describes it."""
        return [self.plan.gates[name]] if name and name in self.plan.gates else []

    def observe(self, seconds: timedelta, *, stage: int = 0, entry: bool = False) -> None:
        """Waits for observed time; stage 0 is the watch. A stage without time is passed, and counted, at once."""
        if seconds or stage:
            action = Observe(seconds=seconds.total_seconds(), stage=stage, entry=entry)
            self._add(action, "Observing" if stage else "Watching")

    def await_group_to_promote(self) -> None:
        self._add(Barrier(name="promote"), "Waiting")
        self.phase = "Promoting"

    def await_group_to_commit(self) -> None:
        """Until here everything can be undone."""
        if self.baseline.waits_for_git:
            self._add(AwaitGit(), "Watching")
        self._add(Barrier(name="commit"), "Watching")
        self.phase = "Committing"

    def retire(self, slot: Slot) -> None:
        self._add(Retire(slot=slot, drain_seconds=self.plan.target.drain_seconds))

    def share(self, weight: float) -> int:
        """Instances that carry a weight: in proportion to the captured size and at least one, or the spec's number."""
        wanted = self.component.capacity
        if weight >= 100:
            return self.size if wanted == "proportional" else max(self.size, wanted)
        return max(1, ceil(round(weight * self.size / 100, 6))) if wanted == "proportional" else wanted

    def _following(self, weight: float) -> float:
        """The share of the stable slot's number that follows what an autoscaler makes of that one meanwhile."""
        is_free = self.component.capacity == "proportional" or weight >= 100
        return weight if self.baseline.autoscalers and is_free else 0

    def _drain(self, slot: Slot) -> float:
        """How long requests may still be open in a slot that users have been sent away from."""
        is_left = self.is_routed and self.state.slot(slot).replicas > 0 and self.state.weight(slot) == 0
        return self.plan.target.drain_seconds if is_left else 0

    def _add(self, action: Action, phase: Phase | None = None) -> None:
        before, after = self.state, applied(self.state, action)
        if isinstance(action, Deploy):
            self._replacing.add(action.slot)
        reached = reachable(before, self.plan.target) | reachable(after, self.plan.target)
        if self.plan.target.shared_service and "canary" not in self._replacing:
            reached.add("canary")  # Whoever asks the Service itself meets every pod.
        step = Step(
            action=action,
            summary=sentences.of_action(action, before, after),
            phase=phase or self.phase,
            new=tuple(s for s in SLOTS if s in reached and (_runs(before, s, self.new) or _runs(after, s, self.new))),
            old=tuple(
                s
                for s in SLOTS
                if s not in self._replacing and _runs(before, s, self.old) and _runs(after, s, self.old)
            ),
        )
        self.steps.append(step)
        if isinstance(action, WaitReady):
            self._replacing.discard(action.slot)
        self.state = after


def _runs(state: TargetState, slot: Slot, template: Template | None) -> bool:
    content = state.slot(slot)
    if template is None or content.template is None:
        return False
    return content.replicas > 0 and content.template.digest == template.digest
