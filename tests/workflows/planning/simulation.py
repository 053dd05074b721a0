"""Walks a plan through the world, event by event, and back from any point of the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from random import Random

from tests.workflows.planning.world import World
from workflows.model.plan import Deploy, RolloutPlan, Step, WaitReady
from workflows.model.target import SLOTS, TargetState
from workflows.planning.undo import next_undo_step

LONGEST_UNDO = 60
"""Steps; a mere bound against going round in circles."""


@dataclass
class Moment:
    """The world at one point of the way forward."""

    world: World
    index: int
    step: Step


def forward(plan: RolloutPlan, random: Random, *, room: float = inf) -> Iterator[Moment]:
    """Every state of the world on the way, also those in the middle of a step."""
    world = World.at(plan.baseline, is_counted=plan.target.is_counted)
    world.room = room
    for index, step in enumerate(plan.steps):
        world.apply(step.action)
        yield Moment(world, index, step)
        if isinstance(step.action, WaitReady):
            while not world.is_reached(step.action):
                assert world.tick(random), f"nothing can make this true any more: {step.summary}"
                yield Moment(world, index, step)
        elif isinstance(step.action, Deploy):
            for _ in range(random.randrange(3)):
                world.tick(random)
                yield Moment(world, index, step)


@dataclass
class Undo:
    """The way back: a list of steps with what users met on it."""

    plan: RolloutPlan
    world: World
    random: Random
    is_patient: bool = True
    """Whether a wait is waited for to its end; else the next step is asked for after every event."""

    def run(self) -> list[Step]:
        """Undoes until nothing is left to do, checking users all the way."""
        taken: list[Step] = []
        self.exposed = self._exposure()
        while step := self._next():
            assert len(taken) < LONGEST_UNDO * (1 if self.is_patient else 10), [s.summary for s in taken[-12:]]
            taken.append(step)
            self.world.apply(step.action)
            self._check(step)
            if isinstance(step.action, WaitReady):
                self._wait(step, step.action)
            else:
                self._let_happen(step, self.random.randrange(3))
        return taken

    def _exposure(self) -> float:
        """Percent of the users whom the router sends where the new version answers."""
        new, traffic = self.plan.template.digest, self.world.traffic
        slots = [slot for slot in SLOTS if self.world.slots[slot].ready.get(new)]
        return sum(traffic.weights.get(slot, 0) for slot in slots) if traffic else 0

    def _next(self) -> Step | None:
        return next_undo_step(self.plan.baseline, self.world.observe(), self.plan.target)

    def _wait(self, step: Step, wait: WaitReady) -> None:
        while not self.world.is_reached(wait):
            assert self.world.tick(self.random), f"nothing can make this true any more: {step.summary}"
            self._check(step)
            if not self.is_patient:
                return

    def _let_happen(self, step: Step, events: int) -> None:
        for _ in range(events):
            self.world.tick(self.random)
            self._check(step)

    def _check(self, step: Step) -> None:
        check_users(self.world, step.summary)
        check_kept(self.plan, self.world, step.summary)
        before, self.exposed = self.exposed, self._exposure()
        assert self.exposed <= before, (step.summary, "more users reach the new version than before")
        if self.plan.target.exclusive:
            check_alone(self.world, step.summary)


def check_users(world: World, where: str) -> None:
    """Weights sum to 100 and nobody is sent where nothing is ready."""
    if world.traffic is None or not world.traffic.weights:
        return
    weights = world.traffic.weights
    assert round(sum(weights.values()), 6) == 100, (where, weights)
    unserved = [backend for backend, weight in weights.items() if weight and not world.serves(backend)]
    assert not unserved, (where, unserved, world.slots)


def check_kept(plan: RolloutPlan, world: World, where: str) -> None:
    """Whoever needs the stable slot whatever its weight finds somebody there."""
    if plan.target.keeps_stable and not plan.baseline.slot("stable").is_empty:
        assert world.serves("stable"), (where, world.slots)


def check_alone(world: World, where: str) -> None:
    """Never two versions at the same time."""
    running = {digest for content in world.slots.values() for digest in content.running()}
    assert len(running) <= 1, (where, running)


def check_arms(moment: Moment, new: str, old: str) -> None:
    """`new` names every slot where users can meet the new version, `old` only slots with nothing but the old one."""
    world, step = moment.world, moment.step
    met = {slot for slot in SLOTS if slot in world.reached() and world.slots[slot].ready.get(new)}
    assert met <= set(step.new), (step.summary, met, step.new)
    for slot in step.old:
        ready = {digest for digest, count in world.slots[slot].ready.items() if count}
        assert ready == {old}, (step.summary, slot, ready)


def is_at(world: World, baseline: TargetState) -> bool:
    """Whether the target is as recorded; nothing routed and the maintenance answer are alike where nothing ran."""
    state = world.observe()
    if baseline.slot("stable").is_empty:
        routed_away = state.traffic is None or not any(state.weight(slot) for slot in SLOTS)
        return routed_away and all(state.slot(slot).is_empty for slot in SLOTS)
    wanted, found = baseline.slot("stable"), state.slot("stable")
    digest = wanted.template.digest if wanted.template else ""
    is_sized = found.replicas >= wanted.serving if baseline.autoscalers else found.replicas == wanted.replicas
    same_slot = found.template == wanted.template and is_sized
    return (
        same_slot
        and found.is_purely(digest)
        and found.ready_of(digest) >= wanted.ready_of(digest)
        and state.slot("canary").is_empty
        and _traffic(state) == _traffic(baseline)
    )


def _traffic(state: TargetState) -> object:
    if state.traffic is None:
        return None
    return ({b: w for b, w in state.traffic.weights.items() if w}, state.traffic.preview_to)
