"""A truce with Argo CD: it leaves alone what a release moves, or its automated syncs are paused for the release.

Releases of several targets may need one application paused. A note on it names them and keeps the policy that was
there, so that the last one puts it back; each write tests the note that it read. The application bears the target's
fence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from activities import beats
from activities.clusters.fence import FencedObject
from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.changes import Changes, Watched
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import APPLICATION
from activities.clusters.kubernetes.patch import Operation, drop, put, test
from activities.clusters.kubernetes.resources import ANNOTATIONS, Resource
from activities.clusters.kubernetes.templates import image_places
from activities.gitops.applications import (
    TRACKING,
    Moved,
    automated,
    is_syncing,
    is_tracker,
    manager,
    remedy,
    routed,
    status_of,
    tracker,
    uncovered,
)
from activities.workloads.controllers import controller_of
from activities.workloads.secret import RecordSecret
from activities.workloads.sights import resource
from activities.workloads.slots import Writer
from workflows.errors import NotReady, Unsupported
from workflows.model.shapes import Message
from workflows.model.target import Claim, Sync, Target, Template

REFRESH = "argocd.argoproj.io/refresh"
"""Asks the controller to compare with Git now; it goes with the answer, in one write."""
TRUCE = "headgate.dev/truce"
_BEAT = 5.0
_ASK_AGAIN = 60.0
"""Seconds after which Git is compared again: Argo CD itself does so every three minutes."""
_SYNC = ("spec", "syncPolicy")


class Truce(Message):
    """Our note on an application whose automated syncs are paused."""

    automated: dict[str, Any] = {}
    """The policy that was there."""
    holders: tuple[str, ...] = ()
    """The targets in release."""


@dataclass(frozen=True)
class ArgoCd:
    """The Argo CD that runs in the cluster of a target."""

    clusters: Clusters

    async def find(self, target: Target, template: Template, objects: Sequence[FencedObject]) -> tuple[Sync, ...]:
        resources = [item for item in objects if isinstance(item, Resource)]
        if not resources or (found := await (workload := resources[0]).find()) is None:
            return ()
        tracked_by, settings = tracker(found), workload.api.argo_cd
        everything = await workload.api.search(APPLICATION, settings.namespace) if settings.namespace else []
        if tracked_by and not settings.elsewhere and not any(is_tracker(each, tracked_by) for each in everything):
            raise Unsupported(_unknown(workload, tracked_by), provider="argo-cd")
        syncs = []
        for application in everything:
            ours = [item for item in resources if status_of(application, Moved.of(item)) is not None]
            if not ours and tracked_by and is_tracker(application, tracked_by):
                ours = [workload]
            if ours:
                there = [(item, found if item is workload else await item.find()) for item in ours]
                moved = [_moved(target, template, item, seen) for item, seen in there if seen]
                syncs.append(_judge(application, moved, everything))
        return tuple(syncs)

    async def pause(self, target: Target, claim: Claim, syncs: Sequence[Sync]) -> None:
        for sync in syncs:
            if sync.paused:
                await self._pause(await self._held(target, claim, sync), target, claim)

    async def resume(self, target: Target, claim: Claim, syncs: Sequence[Sync]) -> None:
        for sync in syncs:
            place = self._place(target, sync)
            if sync.paused and await place.find() is not None:
                await self._held(target, claim, sync)
                await place.change(target.key, claim, partial(_resumed, key=target.key, sync=sync))

    async def await_git(self, target: Target, claim: Claim, syncs: Sequence[Sync], *, seconds: float) -> str:
        await Writer(self._api(target), target, claim).lend_strategy_back()
        deadline = time.monotonic() + seconds
        for sync in syncs:
            if sync.paused and (behind := await self._await(target, claim, sync, deadline)):
                return behind
        return ""

    async def _await(self, target: Target, claim: Claim, sync: Sync, deadline: float) -> str:
        place = await self._held(target, claim, sync)
        workload = Moved.of(resource(place.api, target, "stable"))
        async with Changes(place.api, Watched.one(place)) as changes:
            asked = 0.0
            while True:
                if time.monotonic() - asked >= _ASK_AGAIN:
                    await place.change(target.key, claim, lambda _: [put((*ANNOTATIONS, REFRESH), "normal")])
                    asked = time.monotonic()
                behind = _behind(await place.get(), workload)
                if not behind or time.monotonic() >= deadline:
                    return behind
                beats.send()
                await changes.next(min(_BEAT, max(deadline - time.monotonic(), 0.1)))

    async def _pause(self, place: Resource, target: Target, claim: Claim) -> None:
        found = await place.change(target.key, claim, lambda found: _paused(found, target.key))
        deadline = time.monotonic() + _BEAT
        # The question was asked in the same write, so who answers it has seen the pause; then its last sync ends.
        while is_asked(found) or is_syncing(found):
            if time.monotonic() > deadline:
                what = "has not answered" if is_asked(found) else "is still syncing"
                raise NotReady(f"{place.label}: Argo CD {what} after its automated sync was paused", retry_after=1)
            await asyncio.sleep(0.3)
            found = await place.get()

    async def _held(self, target: Target, claim: Claim, sync: Sync) -> Resource:
        """The application under our claim, which the target bears; any other gives way. Errors: Fenced."""
        place, key = self._place(target, sync), target.key
        held = await place.claim(key)
        # A later run takes the target before its application. So if the target is ours now, what was on the application
        # is from before, whatever its epoch: those of a namespace that was made anew begin at one again.
        await RecordSecret.beside(self._api(target), target).held(key, claim)
        if held != claim:
            await place.replace_claim(key, expected=held, claim=claim)
        await place.held(key, claim)
        return place

    def _place(self, target: Target, sync: Sync) -> Resource:
        return Resource(self._api(target), APPLICATION, sync.namespace, sync.name)

    def _api(self, target: Target) -> Api:
        return self.clusters.get(target.cluster)


def is_asked(application: Object) -> bool:
    """Whether a comparison with Git was asked for and has not been made yet."""
    return REFRESH in (application["metadata"].get("annotations") or {})


def _unknown(workload: Resource, tracked_by: str) -> str:
    """Whose syncs nobody can pause, and what to do about it."""
    setting, namespace = f"kubernetes.clusters.{workload.api.alias}.argoCd", workload.api.argo_cd.namespace
    owned = f"{workload.label} belongs to Argo CD's application {tracked_by}"
    if not namespace:
        return (
            f"{owned}, whose syncs would undo the release; say {setting}.namespace in the worker's settings, so that "
            "they can be paused"
        )
    return (
        f"{owned}, which is not in namespace {namespace}, so its syncs would undo the release and cannot be paused; "
        f"let it leave alone what releases move and set {setting}.elsewhere in the worker's settings, or, if there is "
        f"no such application any more, take the annotation {TRACKING} off the {workload.kind.name}"
    )


def _moved(target: Target, template: Template, item: Resource, found: Object) -> Moved:
    how = controller_of(target)
    if item.kind == how.kind:
        size = ("/spec/replicas",) if how.is_sized else ()
        return Moved.of(item, *size, f"/spec/{how.strategy}", *_template_fields(template, found))
    if item.kind.name == "Service" and not target.is_switched:
        return Moved.of(item)
    return Moved.of(item, *routed(item.kind.name, found["spec"]))


def _template_fields(template: Template, workload: Object) -> list[str]:
    """The images of a version; everything where it is more than images."""
    if "pod" in template.body or "images" not in template.body:
        return ["/spec/template"]
    return [f"/spec/template/spec/{group}/{index}/image" for group, index in image_places(template, workload)]


def _judge(application: Object, ours: list[Moved], others: list[Object]) -> Sync:
    metadata, truce = application["metadata"], noted(application, TRUCE, Truce)
    sync = Sync(name=metadata["name"], namespace=metadata["namespace"])
    policy = automated(application) if truce is None else truce.automated
    left = uncovered(application, ours)
    if policy is None or not left:
        return sync
    if boss := manager(application, [other for other in others if other is not application]):
        raise Unsupported(
            f"Argo CD's application {sync.name} would put back what the release moves, and its automated sync cannot "
            f"be paused, because {boss} writes the application itself; let it leave these fields alone: {remedy(left)}",
            provider="argo-cd",
        )
    return sync.model_copy(update={"paused": True, "automated": policy})


def _paused(found: Object, key: str) -> list[Operation]:
    truce = noted(found, TRUCE, Truce)
    policy = (found["spec"].get("syncPolicy") or {}).get("automated")
    known = truce or Truce(automated=policy or {})
    operations: list[Operation] = []
    if policy is not None:
        operations += [test((*_SYNC, "automated"), policy), drop((*_SYNC, "automated"))]
    if truce is None or key not in truce.holders:
        holders = tuple(sorted({*known.holders, key}))
        operations += _note(found, known.model_copy(update={"holders": holders}))
    return [*operations, put((*ANNOTATIONS, REFRESH), "normal")] if operations else []


def _resumed(found: Object, key: str, sync: Sync) -> list[Operation]:
    """Takes a target off the note; the last one puts the policy back, which the mark knows too if the note is lost."""
    truce = noted(found, TRUCE, Truce) or Truce(automated=sync.automated or {}, holders=(key,))
    left = tuple(holder for holder in truce.holders if holder != key)
    if left:
        return _note(found, truce.model_copy(update={"holders": left})) if left != truce.holders else []
    operations = _note(found, None)
    policy = found["spec"].get("syncPolicy")
    if policy is None:
        return [*operations, put(_SYNC, {"automated": truce.automated})]
    if "automated" not in policy:
        operations.append(put((*_SYNC, "automated"), truce.automated))
    return operations


def _note(found: Object, truce: Truce | None) -> list[Operation]:
    path = (*ANNOTATIONS, TRUCE)
    there = (found["metadata"].get("annotations") or {}).get(TRUCE)
    if truce is None:
        return [test(path, there), drop(path)] if there is not None else []
    return [test(path, there), put(path, truce.model_dump_json(by_alias=True))]


def _behind(application: Object, workload: Moved) -> str:
    """Why Git cannot be said to name what runs."""
    name = application["metadata"]["name"]
    if is_asked(application):
        return f"Argo CD has not compared application {name} with Git since it was asked to"
    status = status_of(application, workload)
    if status in (None, "Synced"):
        return ""
    revision = ((application.get("status") or {}).get("sync") or {}).get("revision", "")
    at = f" at {revision[:12]}" if revision else ""
    return f"Git{at} differs from {workload.kind} {workload.name} ({status}); application {name} waits for a commit"
