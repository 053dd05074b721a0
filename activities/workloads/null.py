"""Workloads that exist in memory only and are ready at once: for dry runs and tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from activities.clusters import fence
from activities.clusters.caller import caller
from activities.clusters.fence import FencedObject
from activities.clusters.local.state import ServiceState, Wish
from activities.workloads.protocol import Endpoint, Record
from workflows.contracts.workloads import DeployRequest, ReadyResult, RetireRequest, ScaleRequest, WaitReadyRequest
from workflows.errors import NotFound
from workflows.model.target import SLOTS, Autoscaler, Claim, Mark, Promoted, Slot, SlotState, Target


class NullWorkloads:
    """Remembers wishes and calls them fulfilled."""

    def __init__(self) -> None:
        self._states: dict[str, ServiceState] = {}

    def objects(self, target: Target) -> Sequence[FencedObject]:
        return (_Memory(target.key, self._state(target)),)

    async def scalers(self, target: Target) -> Sequence[FencedObject]:
        del target
        return ()

    async def autoscalers(self, target: Target) -> tuple[Autoscaler, ...]:
        del target
        return ()

    async def hold(self, mark: Mark, claim: Claim) -> None:
        """Nothing but releases changes a number here."""

    async def observe(self, target: Target, slots: Sequence[Slot] = SLOTS) -> dict[Slot, SlotState]:
        return {slot: self._slot(target, slot) for slot in slots}

    async def endpoints(self, target: Target, slot: Slot) -> list[Endpoint]:
        del target, slot
        return []

    async def deploy(self, request: DeployRequest) -> SlotState:
        wishes = self._checked(request.target, request.claim).wishes
        wishes[request.slot] = Wish(template=request.template, replicas=request.replicas)
        return self._slot(request.target, request.slot)

    async def scale(self, request: ScaleRequest) -> SlotState:
        wish = self._checked(request.target, request.claim).wishes.get(request.slot)
        if wish:
            wish.replicas = request.replicas
        elif request.replicas:
            raise NotFound(f"slot {request.slot} of {request.target.key} is empty; deploy something first")
        return self._slot(request.target, request.slot)

    async def wait_ready(self, request: WaitReadyRequest) -> ReadyResult:
        self._checked(request.target, request.claim)
        state = self._slot(request.target, request.slot)
        is_ready = state.replicas == 0 if request.replicas == 0 else state.replicas >= request.replicas
        message = "" if is_ready else f"{state.replicas} of {request.replicas} instances are wanted in {request.slot}"
        return ReadyResult(ready=is_ready, state=state, message=message)

    async def retire(self, request: RetireRequest) -> None:
        self._checked(request.target, request.claim).wishes.pop(request.slot, None)

    async def record(self, target: Target) -> Record:
        state = self._state(target)
        return Record(mark=state.mark, kept=tuple(state.kept))

    async def put_mark(self, mark: Mark, claim: Claim) -> Mark:
        state = self._checked(mark.target, claim)
        state.mark = state.mark or mark
        return state.mark

    async def settle(self, target: Target, claim: Claim, promoted: Promoted | None) -> None:
        if self._state(target).mark is None:
            return
        self._checked(target, claim).settle(promoted)

    async def records(self) -> list[Record]:
        return [Record(mark=state.mark, kept=tuple(state.kept)) for state in self._states.values()]

    def _state(self, target: Target) -> ServiceState:
        return self._states.setdefault(target.key, ServiceState())

    def _checked(self, target: Target, claim: Claim) -> ServiceState:
        state = self._state(target)
        fence.check(state.fences, target.key, claim=claim, caller=caller(), label=target.key)
        return state

    def _slot(self, target: Target, slot: Slot) -> SlotState:
        wish = self._state(target).wishes.get(slot)
        if wish is None:
            return SlotState()
        ready = {wish.template.digest: wish.replicas} if wish.replicas else {}
        return SlotState(template=wish.template, replicas=wish.replicas, ready=ready, running=wish.replicas)


class _Memory:
    """A state in memory as an object of the write set."""

    is_advisory = False

    def __init__(self, label: str, state: ServiceState) -> None:
        self.label = label
        self._state = state

    async def claim(self, key: str) -> Claim | None:
        await asyncio.sleep(0)
        return self._state.fences.get(key)

    async def replace_claim(self, key: str, *, expected: Claim | None, claim: Claim) -> bool:
        if self._state.fences.get(key) != expected:
            return False
        self._state.fences[key] = claim
        return True
