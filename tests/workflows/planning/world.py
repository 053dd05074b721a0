"""A pure world for the planner's tests: instances start, get ready, drain and end one event at a time.

Nothing in it knows the plan. `tick` lets one event happen, chosen by the caller's random numbers, so every state that
lies between two steps, or in the middle of one, can be visited.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil, inf
from random import Random

from workflows.model.plan import Action, Deploy, Retire, Scale, Shift, WaitReady
from workflows.model.target import SLOTS, Backend, Pace, Slot, SlotState, TargetState, Template, TrafficState

Event = partial[None]


class RefusedByRouter(AssertionError):
    """The router was asked to send users where not enough instances are ready."""


@dataclass
class Instances:
    """One slot: what is wanted, and how many instances of each digest are in which condition."""

    template: Template | None = None
    replicas: int = 0
    surge: int = 1
    unavailable: int = 0
    starting: dict[str, int] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    draining: dict[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return self.template.digest if self.template else ""

    def copy(self) -> Instances:
        counts = (self.starting, self.ready, self.draining)
        starting, ready, draining = map(dict, counts)
        return replace(self, starting=starting, ready=ready, draining=draining)

    def alive(self, digest: str) -> int:
        return self.starting.get(digest, 0) + self.ready.get(digest, 0)

    def others(self) -> int:
        return sum(self.alive(digest) for digest in {*self.starting, *self.ready} if digest != self.digest)

    def stop_unready_others(self) -> None:
        """What serves nobody and is no longer wanted goes first, at once, as in every provider's own controller."""
        for digest in [digest for digest in self.starting if digest != self.digest]:
            while self.starting[digest] and self._may_leave():
                _move(self.starting, self.draining, digest)

    def _may_leave(self) -> bool:
        """Whether an instance that is not ready may: a Deployment's controller lets what it cannot make count for it.

        So with nothing unavailable it keeps what serves nobody, too, until as many of the wanted ones are ready.
        """
        return self.others() + self.ready.get(self.digest, 0) > self.replicas - self.unavailable

    def count(self) -> int:
        """Instances of any digest in any condition."""
        return sum(map(sum, (self.starting.values(), self.ready.values(), self.draining.values())))

    def running(self) -> set[str]:
        """Digests of which anything still runs."""
        counts = (self.starting, self.ready, self.draining)
        return {digest for count in counts for digest, number in count.items() if number}

    def events(self, dead: frozenset[str], room: float) -> list[Event]:
        """Everything that can happen next, where so many more instances fit."""
        found = [
            partial(_move, self.starting, self.ready, digest)
            for digest, count in self.starting.items()
            if count and digest not in dead
        ]
        found += [partial(_drop, self.draining, digest) for digest, count in self.draining.items() if count]
        ceiling = self.replicas + (self.surge if self.others() else 0)
        total = self.alive(self.digest) + self.others()
        if self.alive(self.digest) < self.replicas and total < ceiling and room > 0:
            found.append(partial(_raise, self.starting, self.digest))
        return found + self._leaving()

    def _leaving(self) -> list[Event]:
        floor = self.replicas - self.unavailable if self.others() else self.replicas
        spare = sum(self.ready.values()) - floor
        surplus = self.alive(self.digest) - self.replicas
        found = []
        for digest in sorted({*self.starting, *self.ready}):
            if digest == self.digest and surplus <= 0:
                continue
            if self.starting.get(digest, 0) and (digest == self.digest or self._may_leave()):
                found.append(partial(_move, self.starting, self.draining, digest))
            elif self.ready.get(digest, 0) and (spare > 0 or self.replicas == 0):
                found.append(partial(_move, self.ready, self.draining, digest))
        return found


@dataclass
class World:
    """One target."""

    slots: dict[Slot, Instances]
    traffic: TrafficState | None
    dead: frozenset[str] = frozenset()
    """Digests whose instances never become ready."""
    is_counted: bool = False
    """Whether the number of instances is the weight."""
    scaled: range = range(0)
    """Numbers between which an autoscaler moves the stable slot whenever it likes."""
    room: float = inf
    """Instances that fit beside each other, those that are leaving included."""

    @classmethod
    def at(cls, baseline: TargetState, *, is_counted: bool = False) -> World:
        slots = {
            slot: Instances(template=state.template, replicas=state.replicas, ready=dict(state.ready))
            for slot in SLOTS
            for state in [baseline.slot(slot)]
        }
        most = max((autoscaler.maximum for autoscaler in baseline.autoscalers), default=-1)
        scaled = range(baseline.slot("stable").serving, most + 1)
        return cls(slots, None if is_counted else baseline.traffic, is_counted=is_counted, scaled=scaled)

    def copy(self) -> World:
        return replace(self, slots={slot: content.copy() for slot, content in self.slots.items()})

    def observe(self) -> TargetState:
        return TargetState(
            slots={
                slot: SlotState(
                    template=content.template,
                    replicas=content.replicas,
                    ready={digest: count for digest, count in content.ready.items() if count},
                    running=content.count(),
                    pace=Pace(surge=content.surge, unavailable=content.unavailable),
                )
                for slot, content in self.slots.items()
            },
            traffic=TrafficState(weights=self.shares()) if self.is_counted else self.traffic,
        )

    def shares(self) -> dict[Backend, float]:
        """Percent of the ready instances in each slot that has any."""
        ready = {slot: sum(content.ready.values()) for slot, content in self.slots.items()}
        total = sum(ready.values())
        return {slot: round(100 * count / total, 2) for slot, count in ready.items() if count}

    def apply(self, action: Action) -> None:
        """Writes a wish; instances follow with `tick`. Waiting and asking change nothing."""
        match action:
            case Deploy(slot=slot):
                content = self.slots[slot]
                content.template, content.replicas = action.template, self._number(action)
                content.surge, content.unavailable = action.max_surge, action.max_unavailable
                content.stop_unready_others()
            case Scale(slot=slot):
                self.slots[slot].replicas = self._number(action)
            case Retire(slot=slot):
                self.slots[slot] = Instances()
            case Shift():
                self._shift(action)
            case _:
                pass

    def tick(self, random: Random) -> bool:
        """Lets one event happen; False when nothing can any more."""
        room = self.room - sum(content.count() for content in self.slots.values())
        events = [event for content in self.slots.values() for event in content.events(self.dead, room)]
        if self.scaled and self.slots["stable"].replicas:  # What is scaled to nothing stays so.
            events += [partial(setattr, self.slots["stable"], "replicas", number) for number in self.scaled]
        if events:
            random.choice(events)()
        return bool(events)

    def _number(self, action: Deploy | Scale) -> int:
        """As a provider takes it: nobody's number is lowered by a share."""
        if not action.share:
            return action.replicas
        share = ceil(action.share * self.slots["stable"].replicas / 100)
        return max(action.replicas, share, self.slots[action.slot].replicas)

    def is_reached(self, wait: WaitReady) -> bool:
        content = self.slots[wait.slot]
        if wait.replicas == 0:
            return not content.running()
        ready = content.ready.get(content.digest, 0)
        wanted = max(wait.replicas, content.replicas) if wait.slot == "canary" else wait.replicas
        return ready >= wanted and content.others() == 0

    def crash(self, slot: Slot, count: int) -> None:
        """Ready instances of a slot fall over and start again."""
        content = self.slots[slot]
        for digest in list(content.ready):
            for _ in range(min(count, content.ready[digest])):
                _move(content.ready, content.starting, digest)

    def serves(self, backend: Backend) -> bool:
        return backend == "maintenance" or any(self.slots[backend].ready.values())

    def reached(self) -> set[Backend]:
        """Where users, or the work, can arrive."""
        if self.traffic is None:
            return {slot for slot in SLOTS if any(self.slots[slot].ready.values())}
        found = {backend for backend, weight in self.traffic.weights.items() if weight}
        return found | ({self.traffic.preview_to} if self.traffic.preview_to else set())

    def _shift(self, action: Shift) -> None:
        if self.is_counted:
            assert self.shares() == {backend: weight for backend, weight in action.weights.items() if weight}
            return
        now = self.traffic.weights if self.traffic else {}
        for backend, weight in action.weights.items():
            if weight > now.get(backend, 0) and backend != "maintenance":
                ready = sum(self.slots[backend].ready.values())
                if ready < max(1, action.minimum_ready.get(backend, 1)):
                    raise RefusedByRouter(f"{weight} % for {backend}, which has {ready} ready: {action}")
        self.traffic = TrafficState(weights=dict(action.weights), preview_to=action.preview_to)


def _raise(counts: dict[str, int], digest: str) -> None:
    counts[digest] = counts.get(digest, 0) + 1


def _drop(counts: dict[str, int], digest: str) -> None:
    counts[digest] -= 1


def _move(source: dict[str, int], to: dict[str, int], digest: str) -> None:
    _drop(source, digest)
    _raise(to, digest)
