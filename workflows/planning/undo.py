"""The way back, computed from the baseline and from what is there now; never from what was planned or done.

Level-triggered: whoever undoes asks for one step, does it, looks again and asks again, until there is none. So an undo
can be interrupted anywhere, taken over by anybody who can read the mark, and started from any state the way forward can
leave.

The order keeps users served. They move first, as far as a slot that runs nothing but the old version has ready
instances for them; where there is none, the old version is started first and they follow as it gets ready. What the old
version can no longer become stays a wait that the caller reports as blocked, with users where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from workflows.model.plan import Action, Deploy, Retire, Scale, Shift, Step, WaitReady
from workflows.model.target import SLOTS, Backend, Pace, Slot, Target, TargetState, Template
from workflows.planning import sentences
from workflows.planning.ideal import applied


def next_undo_step(baseline: TargetState, observed: TargetState, target: Target) -> Step | None:
    """The next step back to the baseline; None when the target is as recorded and can be settled.

    A first release into a router without weights ends with the maintenance answer; the router's empty state is restored
    to the letter by whoever settles.
    """
    action = _action(baseline, observed, target)
    if action is None:
        return None
    summary = f"Undo: {sentences.of_action(action, observed, applied(observed, action))}"
    return Step(action=action, summary=summary, phase="RollingBack")


def _action(baseline: TargetState, observed: TargetState, target: Target) -> Action | None:
    old = baseline.slot("stable").template
    if old is None or baseline.slot("stable").is_empty:
        return _Removal(baseline, observed, target).action()
    return _Return(baseline, observed, target, old).action()


@dataclass(frozen=True)
class _Removal:
    """Takes away a first release."""

    baseline: TargetState
    observed: TargetState
    target: Target

    def action(self) -> Action | None:
        traffic = self.observed.traffic
        served = any(self.observed.weight(s) > 0 and self.baseline.weight(s) == 0 for s in SLOTS)
        if self.target.is_routed and traffic and served:
            return Shift(weights={"maintenance": 100})
        for slot in SLOTS:
            if action := self._empty(slot):
                return action
        return None

    def _empty(self, slot: Slot) -> Action | None:
        now, before = self.observed.slot(slot), self.baseline.slot(slot)
        if before.template is None:
            return None if now.is_empty else Retire(slot=slot, drain_seconds=self.target.drain_seconds)
        # The workload existed, scaled to nothing: it is the user's own and stays.
        if now.template is None or now.template.digest != before.template.digest or now.replicas:
            drain = self.target.drain_seconds if self.target.is_routed else 0
            return Deploy(slot=slot, template=before.template, replicas=0, drain_seconds=drain)
        return None if now.is_empty else WaitReady(slot=slot, replicas=0)


@dataclass(frozen=True)
class _Return:
    """Brings back what ran before."""

    baseline: TargetState
    observed: TargetState
    target: Target
    old: Template

    @property
    def size(self) -> int:
        """Instances that were wanted."""
        return self.baseline.slot("stable").replicas

    @property
    def captured(self) -> int:
        """Instances that were ready: what the old version needs to serve everybody."""
        ready = self.baseline.slot("stable").serving
        return min(ready, self.observed.slot("stable").replicas) if self.target.is_per_node else ready

    @property
    def is_sized(self) -> bool:
        """Whether as many instances are wanted as there were; more are an autoscaler's own business."""
        now = self.observed.slot("stable").replicas
        return self.target.is_per_node or now == self.size or (self._follows and now >= max(1, self.captured))

    @property
    def _follows(self) -> bool:
        return bool(self.baseline.autoscalers)

    @property
    def is_routed(self) -> bool:
        return self.target.is_routed and self.observed.traffic is not None

    def action(self) -> Action | None:
        if self._stands("stable", self.captured) and (not self.is_routed or self._is_home("stable")):
            return self._tidy()
        return (self._bring_users_back() if self.is_routed else None) or self._restore()

    def _bring_users_back(self) -> Action | None:
        for slot in SLOTS:
            if self._stands(slot, max(1, self.captured)):
                return None if self._is_home(slot) else self._send({slot: 100})
        return self._send_some()

    def _is_home(self, slot: Slot) -> bool:
        """Whether all users are in this slot, and nobody anywhere by match or preview who was not before."""
        before = self.baseline.traffic.preview_to if self.baseline.traffic else None
        now = self.observed.traffic
        return now is not None and self.observed.weight(slot) >= 100 and now.preview_to == before

    def _capacity(self, slot: Slot) -> int:
        """Instances of the old version that serve and will stay, in a slot that runs nothing else."""
        content = self.observed.slot(slot)
        if not self._is_wanted(slot) or self._is_mixed(slot):
            return 0
        return min(content.replicas, content.ready_of(self.old.digest))

    def _is_wanted(self, slot: Slot) -> bool:
        template = self.observed.slot(slot).template
        return template is not None and template.digest == self.old.digest

    def _is_mixed(self, slot: Slot) -> bool:
        ready = self.observed.slot(slot).ready
        return sum(ready.values()) != ready.get(self.old.digest, 0)

    def _stands(self, slot: Slot, instances: int) -> bool:
        return self._is_wanted(slot) and not self._is_mixed(slot) and self._capacity(slot) >= instances

    def _send(self, weights: dict[Backend, float]) -> Shift:
        ready: dict[Backend, int] = {
            slot: min(self._capacity(slot), max(1, self.captured))
            for slot in SLOTS
            if weights.get(slot, 0) > self.observed.weight(slot) and self._is_wanted(slot)
        }
        preview = self.baseline.traffic.preview_to if self.baseline.traffic else None
        return Shift(weights=weights, preview_to=preview, minimum_ready=ready)

    def _send_some(self) -> Action | None:
        """As many users as a part of the old version carries, where that brings more of them back than there are."""
        back = self._users_back({slot: self.observed.weight(slot) for slot in SLOTS})
        for slot in SLOTS:
            if not self._capacity(slot):
                continue
            weights = self._towards(slot)
            if self._users_back(weights) > back:
                return self._send(weights)
        return None

    def _towards(self, slot: Slot) -> dict[Backend, float]:
        now = self.observed.traffic.weights if self.observed.traffic else {}
        others: dict[Backend, float] = {b: w for b, w in now.items() if w > 0 and b != slot}
        share = float(floor(100 * self._capacity(slot) / max(1, self.captured)))
        if others and not any(self._answers(backend) for backend in others):
            share = 100.0  # Nobody answers there: fewer instances than before are better than none.
        share = min(100.0, max(share, self.observed.weight(slot)))
        if self.target.is_switched and share < 100:
            share = self.observed.weight(slot)  # All or nobody, so not yet.
        weights: dict[Backend, float] = {slot: share}
        left, total = 100 - share, sum(others.values())
        for backend, weight in others.items():
            weights[backend] = round(left * weight / total, 2)
        last = next(reversed(weights))
        weights[last] = round(weights[last] + 100 - sum(weights.values()), 2)
        return {backend: weight for backend, weight in weights.items() if weight > 0}

    def _answers(self, backend: Backend) -> bool:
        return backend == "maintenance" or any(self.observed.slot(backend).ready.values())

    def _users_back(self, weights: dict[Backend, float]) -> float:
        return sum(
            weight for backend, weight in weights.items() if backend != "maintenance" and self._capacity(backend)
        )

    def _restore(self) -> Action:
        """The user's own workload gets back the old version and its size."""
        if not self._is_wanted("stable"):
            return self._make_way() or self._deploy()
        if not self.is_sized:
            return Scale(slot="stable", replicas=self.size)
        return WaitReady(slot="stable", replicas=max(1, self.captured))

    def _make_way(self) -> Action | None:
        """What must happen before the old version may start in the user's own workload."""
        if self.target.exclusive:
            return self._stop_first()
        if self.is_routed and self.observed.weight("stable") > 0 and self._carries_all("canary"):
            return self._send({"canary": 100})
        return None

    def _carries_all(self, slot: Slot) -> bool:
        """Whether a slot can serve everybody with what it shall run, whatever that is."""
        content = self.observed.slot(slot)
        digest = content.template.digest if content.template else ""
        return min(content.replicas, content.ready_of(digest)) >= max(1, self.captured)

    def _stop_first(self) -> Action | None:
        stable = self.observed.slot("stable")
        if self.is_routed and self.observed.weight("maintenance") < 100:
            return self._send({"maintenance": 100})
        if stable.replicas:
            drain = self.target.drain_seconds if self.is_routed else 0
            return Scale(slot="stable", replicas=0, drain_seconds=drain)
        return None if stable.is_empty else WaitReady(slot="stable", replicas=0)

    def _deploy(self) -> Deploy:
        """In place; at once where nobody is served from there, else with as many extra instances as fit.

        There may be no room for one. So what serves nobody need not stay until then, nor as many as the release itself
        did without; and where that one had no extra instances, its undo has none.
        """
        if self.target.is_in_place:
            few = max(1, self.size // 4) if self.target.is_per_node else 1
            return self._deployed(surge=0, unavailable=few)
        is_left = self.is_routed and self.observed.weight("stable") == 0 and not self.target.keeps_stable
        if self.target.exclusive or is_left:
            # Users who are still in the bad version wait for these instances, so open requests do not.
            drain = self.target.drain_seconds if is_left and self._is_wanted("canary") else 0
            return self._deployed(surge=0, unavailable=self.size, drain=drain)
        stable = self.observed.slot("stable")
        pace = stable.pace or Pace(surge=self.size)
        spared = max(min(pace.unavailable, self.size - 1), int(not pace.surge))
        wanted = max(self.size, stable.replicas) if self._follows else self.size
        idle = wanted - sum(stable.ready.values())
        return self._deployed(surge=self.size if pace.surge else 0, unavailable=max(spared, idle))

    def _deployed(self, *, surge: int, unavailable: int, drain: float = 0) -> Deploy:
        return Deploy(
            slot="stable",
            template=self.old,
            replicas=self.size,
            max_surge=surge,
            max_unavailable=unavailable,
            share=100 if self._follows else 0,
            drain_seconds=drain,
        )

    def _tidy(self) -> Action | None:
        if not self.is_sized:
            return Scale(slot="stable", replicas=self.size)
        if self.baseline.slot("canary").is_empty and not self.observed.slot("canary").is_empty:
            return Retire(slot="canary", drain_seconds=self.target.drain_seconds)
        return None
