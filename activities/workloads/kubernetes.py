"""Kubernetes: the user's own workload is the stable slot; a copy beside it, made and taken away here, the canary slot.

StatefulSets and DaemonSets have no such copy, because their pods have names or nodes of their own.

Nothing runs between activities: the cluster's own controllers bring about what is written, and waiting is watching.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from activities import beats
from activities.clusters.fence import FencedObject
from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.changes import Changes, Watched
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import POD
from activities.foreign import Shared
from activities.workloads.autoscalers import Autoscalers
from activities.workloads.configuration import SharedConfiguration, recorded
from activities.workloads.failures import Failure
from activities.workloads.foreign import refuse_foreign
from activities.workloads.obstacles import blocker, is_hopeless
from activities.workloads.protocol import Configuration, Endpoint, Record
from activities.workloads.secret import RecordSecret, records, settled
from activities.workloads.sights import Sight, look, look_at, pods_of, resource, slots_of
from activities.workloads.slots import Writer
from activities.workloads.waiting import waited_before
from workflows.contracts.workloads import (
    DeployRequest,
    Gathered,
    GatherRequest,
    ReadyResult,
    RetireRequest,
    ScaleRequest,
    WaitReadyRequest,
)
from workflows.errors import NotFound, NotReady, ProviderError
from workflows.model.target import SLOTS, Autoscaler, Claim, Mark, Promoted, Slot, SlotState, Target, Template

logger = logging.getLogger(__name__)

BEAT = 2.0
"""Seconds between two heartbeats while nothing happens."""
PATIENCE = 300.0
"""Seconds after the drain in which pods leave; then people are told who has not."""


class KubernetesWorkloads:
    """Runs the versions of workloads in the clusters of the worker's settings."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self.shared: Sequence[Shared] = (self, SharedConfiguration(clusters))

    def objects(self, target: Target) -> Sequence[FencedObject]:
        stable, *beside = (resource(self._api(target), target, slot) for slot in slots_of(target))
        return (stable, self._secret(target), *beside)

    async def scalers(self, target: Target) -> Sequence[FencedObject]:
        autoscalers, mark = self._autoscalers(target), (await self._secret(target).read()).mark
        return autoscalers.objects(mark.baseline.autoscalers if mark else await autoscalers.find())

    async def autoscalers(self, target: Target) -> tuple[Autoscaler, ...]:
        return await self._autoscalers(target).find()

    async def hold(self, mark: Mark, claim: Claim) -> None:
        await self._autoscalers(mark.target).hold(mark, claim)

    async def observe(self, target: Target, slots: Sequence[Slot] = SLOTS) -> dict[Slot, SlotState]:
        sights = await asyncio.gather(*(look(self._api(target), target, slot) for slot in slots))
        return {slot: sight.state for slot, sight in zip(slots, sights, strict=True)}

    async def endpoints(self, target: Target, slot: Slot) -> list[Endpoint]:
        return (await look(self._api(target), target, slot)).endpoints(target.workload.get("port"))

    @asynccontextmanager
    async def moves(self, target: Target, slot: Slot) -> AsyncIterator[Changes]:
        workload = await resource(self._api(target), target, slot).find()
        async with self._changes(target, slot, workload) as changes:
            yield changes

    async def deploy(self, request: DeployRequest) -> SlotState:
        await self._drain_before(request, request.template)
        found = await self._writer(request.target, request.claim).deploy(request)
        return (await look_at(self._api(request.target), request.target, request.slot, found)).state

    async def scale(self, request: ScaleRequest) -> SlotState:
        target, slot = request.target, request.slot
        await self._drain_before(request)
        found = await self._writer(target, request.claim).scale(request)
        if found is None and request.replicas:
            raise NotFound(f"slot {slot} of {target.key} is empty; deploy something first", provider="kubernetes")
        return (await look_at(self._api(target), target, slot, found)).state

    async def wait_ready(self, request: WaitReadyRequest) -> ReadyResult:
        target, slot, api = request.target, request.slot, self._api(request.target)
        started = time.monotonic() - waited_before()
        async with self._changes(target, slot, await resource(api, target, "stable").get()) as changes:
            await changes.next(BEAT)
            while True:
                sight = await self._held(target, request.claim, slot)
                if request.claim.purpose == "release" and sight.is_changed:
                    await self.look(target)
                if sight.is_done(request.replicas):
                    return ReadyResult(ready=True, state=sight.state)
                await self._writer(target, request.claim).replace_broken(sight.stuck_pods)
                is_lost = bool(request.replicas) and is_hopeless(sight)
                while not is_lost and (waited := time.monotonic() - started) < request.timeout_seconds:
                    beats.send(waited)
                    is_changed = await changes.next(min(BEAT, request.timeout_seconds - waited))
                    if is_changed or time.time() >= sight.outdated_at:
                        break
                else:
                    message = await blocker(api, sight, slot, request.replicas)
                    waited = time.monotonic() - started
                    return ReadyResult(ready=False, state=sight.state, message=f"{message} (waited {waited:.0f} s)")

    async def retire(self, request: RetireRequest) -> None:
        """The user's own workload is scaled to nothing and stays. Errors: NotReady, naming what has not left."""
        target, slot, writer = request.target, request.slot, self._writer(request.target, request.claim)
        started = time.monotonic() - waited_before()
        sight = await self._held(target, request.claim, slot)
        if sight.replicas:
            await self._drain(sight, request.drain_seconds)
        await writer.scale(ScaleRequest(target=target, claim=request.claim, slot=slot, replicas=0))
        async with self._changes(target, slot, sight.workload) as changes:
            await changes.next(BEAT)
            while not (sight := await self._held(target, request.claim, slot)).is_done(0):
                beats.send(waited := time.monotonic() - started)
                if waited > request.drain_seconds + PATIENCE:
                    raise NotReady(await blocker(self._api(target), sight, slot, 0), provider="kubernetes")
                await changes.next(BEAT)
        if slot == "canary":
            await writer.remove_canary()

    async def gather(self, request: GatherRequest) -> Gathered:
        return await Failure(self._api(request.target), request).keep()

    async def look(self, target: Target) -> None:
        await refuse_foreign(self._api(target), target)

    def changes(self, target: Target) -> Changes:
        api = self._api(target)
        return Changes(api, *(Watched.one(resource(api, target, slot)) for slot in slots_of(target)))

    async def put_back(self, target: Target, claim: Claim) -> None:
        await self._writer(target, claim).put_back()

    async def record(self, target: Target) -> Record:
        return await self._secret(target).read()

    async def put_mark(self, mark: Mark, claim: Claim) -> Mark:
        secret = self._secret(mark.target)
        if (there := (await secret.read()).mark) is not None:
            return there
        template = mark.baseline.slot("stable").template
        await self._writer(mark.target, claim).begin(mark.baseline)
        pod = template.body["pod"] if template else None
        found = await recorded(self._api(mark.target), mark.target.namespace, pod) if pod else Configuration()
        more = {"mark": mark, "configuration": found}
        record = await secret.write(
            mark.target.key, claim, lambda now: now if now.mark else now.model_copy(update=more)
        )
        return record.mark or mark

    async def settle(self, target: Target, claim: Claim, promoted: Promoted | None) -> None:
        secret = self._secret(target)
        if (mark := (await secret.read()).mark) is None:
            return
        template = await self._writer(target, claim).end()
        await self._autoscalers(target).restore(mark, claim)
        if promoted and template and template.digest == promoted.template.digest:
            # The whole pod template, so that a later rollback brings back more than the image.
            promoted = promoted.model_copy(update={"template": template})
        await secret.write(target.key, claim, lambda now: settled(now, promoted))

    async def records(self) -> list[Record]:
        places = [(api, namespace) for api in self._clusters for namespace in api.places]
        found = await asyncio.gather(*(self._records(api, namespace) for api, namespace in places))
        return [record for some in found for record in some]

    async def _records(self, api: Api, namespace: str) -> list[Record]:
        try:
            found = await records(api, namespace)
        except ProviderError as error:  # What is away or refused must not hide the marks everywhere else.
            if namespace not in api.unread:
                logger.warning("marks are not read: %s", error)
            api.unread.add(namespace)
            return []
        api.unread.discard(namespace)
        return found

    async def _held(self, target: Target, claim: Claim, slot: Slot) -> Sight:
        """A look at a slot by somebody who may write to it. Errors: Fenced, NotFound."""
        found = await self._writer(target, claim).held(slot)
        return await look_at(self._api(target), target, slot, found)

    async def _drain_before(self, request: DeployRequest | ScaleRequest, wanted: Template | None = None) -> None:
        """Drains where a wish that is not written yet takes instances away."""
        if not request.drain_seconds:
            return
        sight = await self._held(request.target, request.claim, request.slot)
        is_replaced = wanted and sight.template and sight.template.digest != wanted.digest
        if is_replaced or sight.replicas > request.replicas:
            await self._drain(sight, request.drain_seconds)

    async def _drain(self, sight: Sight, seconds: float) -> None:
        """Users have been sent elsewhere: lets their open requests end, over several attempts if need be."""
        started = time.monotonic() - waited_before()
        while any(sight.state.ready.values()) and (drained := time.monotonic() - started) < seconds:
            beats.send(drained)
            await asyncio.sleep(min(BEAT, seconds - drained))

    def _changes(self, target: Target, slot: Slot, workload: Object | None) -> Changes:
        api = self._api(target)
        return Changes(
            api,
            Watched.one(resource(api, target, slot)),
            Watched(POD, target.namespace, labels=pods_of(target, slot, workload)),
        )

    def _writer(self, target: Target, claim: Claim) -> Writer:
        return Writer(self._api(target), target, claim)

    def _autoscalers(self, target: Target) -> Autoscalers:
        return Autoscalers(self._api(target), target)

    def _secret(self, target: Target) -> RecordSecret:
        return RecordSecret.beside(self._api(target), target)

    def _api(self, target: Target) -> Api:
        return self._clusters.get(target.cluster)
