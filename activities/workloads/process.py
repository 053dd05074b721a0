"""Local processes, one set per slot, that live on without the worker: the embedded workload provider.

Nothing runs between activities: `wait_ready` and `retire` drive the passes of `reconcile.py` while a workflow waits.
Who wants crashed instances replaced at other times runs `keep`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from temporalio import activity

from activities.clusters import fence
from activities.clusters.caller import caller
from activities.clusters.fence import FencedFile, FencedObject
from activities.clusters.local import endpoints, processes
from activities.clusters.local.processes import Process
from activities.clusters.local.programs import recipe
from activities.clusters.local.settings import ProcessSettings
from activities.clusters.local.state import Service, ServiceState, Wish, crash_key, services_in
from activities.workloads.progress import blocker, is_done, is_hopeless, slot_state
from activities.workloads.protocol import Endpoint, Record
from activities.workloads.reconcile import Guard, Reconciler
from activities.workloads.waiting import waited_before
from workflows.contracts.workloads import DeployRequest, ReadyResult, RetireRequest, ScaleRequest, WaitReadyRequest
from workflows.errors import HeadgateError, NotFound, Rejected
from workflows.model.target import SLOTS, Autoscaler, Claim, Mark, Promoted, Slot, SlotState, Target

logger = logging.getLogger(__name__)

R = TypeVar("R")

PAUSE = 0.05
"""Seconds between two passes while something changes."""
SLOW = 0.25
"""Seconds between two passes when nothing has changed for a while."""


class ProcessWorkloads:
    """Runs the programs of its settings as local processes."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings
        self._reconciler = Reconciler(settings)

    def service(self, target: Target) -> Service:
        """Where a target's files are. Errors: NotFound for an unknown cluster."""
        cluster = self._settings.clusters.get(target.cluster)
        if cluster is None:
            known = ", ".join(sorted(self._settings.clusters)) or "none"
            raise NotFound(f"this worker has no process cluster {target.cluster!r}; it has {known}", provider="process")
        return Service(cluster.root, target.namespace, str(target.workload["service"]))

    def objects(self, target: Target) -> Sequence[FencedObject]:
        service = self.service(target)
        return (FencedFile(service.label, service.file, after=lambda _: endpoints.prepare(service)),)

    async def scalers(self, target: Target) -> Sequence[FencedObject]:
        del target
        return ()

    async def autoscalers(self, target: Target) -> tuple[Autoscaler, ...]:
        del target
        return ()

    async def hold(self, mark: Mark, claim: Claim) -> None:
        """Nothing but releases changes a number here."""

    async def observe(self, target: Target, slots: Sequence[Slot] = SLOTS) -> dict[Slot, SlotState]:
        state = await asyncio.to_thread(self.service(target).file.read)
        sights = await self._reconciler.look(state, slots)
        return {slot: slot_state(state, slot, sights) for slot in slots}

    async def endpoints(self, target: Target, slot: Slot) -> list[Endpoint]:
        return await asyncio.to_thread(self._endpoints, self.service(target), slot)

    async def deploy(self, request: DeployRequest) -> SlotState:
        recipe(self._settings, request.template)
        wish = Wish(
            template=request.template,
            replicas=request.replicas,
            max_surge=request.max_surge,
            max_unavailable=request.max_unavailable,
            drain_seconds=request.target.drain_seconds,
        )

        def change(state: ServiceState) -> None:
            state.wishes[request.slot] = wish
            state.crashes.pop(crash_key(request.slot, wish.template.digest), None)

        return await self._wish(request.target, request.claim, request.slot, change)

    async def scale(self, request: ScaleRequest) -> SlotState:
        def change(state: ServiceState) -> None:
            wish = state.wishes.get(request.slot)
            if wish is None and request.replicas:
                raise NotFound(f"slot {request.slot} of {request.target.key} is empty; deploy something first")
            if wish:
                wish.replicas = request.replicas
                wish.drain_seconds = request.target.drain_seconds

        return await self._wish(request.target, request.claim, request.slot, change)

    async def wait_ready(self, request: WaitReadyRequest) -> ReadyResult:
        service = self.service(request.target)
        guard = _guard(service, request.target, request.claim)
        started = time.monotonic() - waited_before()
        before, pause = None, PAUSE
        while True:
            state = await self._reconciler.step(service, guard)
            current = slot_state(state, request.slot)
            if is_done(state, request.slot, request.replicas):
                return ReadyResult(ready=True, state=current)
            waited = time.monotonic() - started
            if waited >= request.timeout_seconds or is_hopeless(state, request.slot, self._settings.crash_limit):
                message = await asyncio.to_thread(
                    blocker, service, state, request.slot, replicas=request.replicas, settings=self._settings
                )
                return ReadyResult(ready=False, state=current, message=f"{message} (waited {waited:.0f} s)")
            activity.heartbeat(waited)
            pause = min(pause * 1.5, SLOW) if state == before else PAUSE
            before = state
            await asyncio.sleep(pause)

    async def retire(self, request: RetireRequest) -> None:
        def change(state: ServiceState) -> None:
            if wish := state.wishes.get(request.slot):
                wish.replicas = 0
                wish.drain_seconds = request.drain_seconds

        await self._wish(request.target, request.claim, request.slot, change)
        service = self.service(request.target)
        guard = _guard(service, request.target, request.claim)
        while (await self._reconciler.step(service, guard)).of(request.slot):
            activity.heartbeat()
            await asyncio.sleep(PAUSE)
        await self._edit(service, guard, lambda state: _forget(state, request.slot))

    async def record(self, target: Target) -> Record:
        state = await asyncio.to_thread(self.service(target).file.read)
        return Record(mark=state.mark, kept=tuple(state.kept))

    async def put_mark(self, mark: Mark, claim: Claim) -> Mark:
        service = self.service(mark.target)

        def change(state: ServiceState) -> Mark:
            state.mark = state.mark or mark
            return state.mark

        return await self._edit(service, _guard(service, mark.target, claim), change)

    async def settle(self, target: Target, claim: Claim, promoted: Promoted | None) -> None:
        service = self.service(target)
        if (await asyncio.to_thread(service.file.read)).mark is None:
            return

        await self._edit(service, _guard(service, target, claim), lambda state: state.settle(promoted))

    async def records(self) -> list[Record]:
        return await asyncio.to_thread(self._records)

    async def keep(self, every: float = 2.0) -> None:
        """Replaces what crashed, on every service, until cancelled; writes no wish, so it needs no claim."""
        while True:
            for service in await asyncio.to_thread(lambda: list(services_in(self._roots()))):
                try:
                    await self._reconciler.step(service)
                except (HeadgateError, OSError) as error:
                    logger.warning("%s cannot be kept: %s", service.label, error)
            await asyncio.sleep(every)

    async def _wish(
        self, target: Target, claim: Claim, slot: Slot, change: Callable[[ServiceState], None]
    ) -> SlotState:
        service = self.service(target)
        guard = _guard(service, target, claim)
        await self._edit(service, guard, change)
        return slot_state(await self._reconciler.step(service, guard), slot)

    async def _edit(self, service: Service, guard: Guard, change: Callable[[ServiceState], R]) -> R:
        return await asyncio.to_thread(partial(_edit, service, guard, change))

    def _endpoints(self, service: Service, slot: Slot) -> list[Endpoint]:
        return [
            Endpoint(f"{self._settings.host}:{i.port}", i.version, i.digest, i.token)
            for i in service.file.read().of(slot)
            if i.is_published and processes.is_alive(Process(i.pid or 0, i.born))
        ]

    def _records(self) -> list[Record]:
        found = []
        for service in services_in(self._roots()):
            try:
                state = service.file.read()
            except Rejected as error:
                logger.warning("%s is skipped: %s", service.label, error)
                continue
            found.append(Record(mark=state.mark, kept=tuple(state.kept)))
        return found

    def _roots(self) -> list[Path]:
        return sorted({cluster.root for cluster in self._settings.clusters.values()})


def _guard(service: Service, target: Target, claim: Claim) -> Guard:
    who = caller()
    return lambda state: fence.check(state.fences, target.key, claim=claim, caller=who, label=service.label)


def _edit(service: Service, guard: Guard, change: Callable[[ServiceState], R]) -> R:
    with service.file.edit() as edit:
        guard(edit.state)
        result = change(edit.state)
        edit.save()
        return result


def _forget(state: ServiceState, slot: Slot) -> None:
    wish = state.wishes.get(slot)
    if wish and wish.replicas == 0 and not state.of(slot):
        del state.wishes[slot]
        state.crashes = {key: value for key, value in state.crashes.items() if not key.startswith(f"{slot}/")}
