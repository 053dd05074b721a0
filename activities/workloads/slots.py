"""Every write to the workloads of a target, each under its claim.

The first write of a release notes the user's own update strategy, the last one puts it back. What one run of ours wrote
and somebody else changed is not written over: a release stops there, and only its undo restores what was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.copies import canary_body, changed_labels, isolated, refuse_unsuited
from activities.clusters.kubernetes.kinds import POD, SERVICE
from activities.clusters.kubernetes.patch import Operation, put, test
from activities.clusters.kubernetes.resources import Change, Resource
from activities.clusters.kubernetes.templates import (
    NOTES,
    Notes,
    described,
    is_foreign,
    is_resized,
    note,
    notes_of,
    pod_hash,
    wanted_pod,
)
from activities.clusters.kubernetes.volumes import claims_of
from activities.workloads.configuration import refuse_changed
from activities.workloads.controllers import Controller, controller_of
from activities.workloads.foreign import foreign_change, refuse_foreign, written
from activities.workloads.selectors.beside import admit
from activities.workloads.sights import resource, slots_of
from workflows.contracts.workloads import DeployRequest, ScaleRequest
from workflows.errors import Fenced, NotFound, Rejected, Unsupported
from workflows.model.target import Claim, Slot, Target, TargetState, Template


@dataclass(frozen=True)
class Writer:
    """Writes for one holder of a claim."""

    api: Api
    target: Target
    claim: Claim

    async def held(self, slot: Slot) -> Object | None:
        """A slot's workload, or None, while the claim holds. Errors: Fenced, NotFound for the user's own.

        The stable one is asked for the canary too: its copy may have been made by a run that was superseded
        meanwhile, under a claim that has gone everywhere else.
        """
        stable = await self._place("stable").held(self.target.key, self.claim)
        return stable if slot == "stable" else await self._canary()

    async def deploy(self, request: DeployRequest) -> Object:
        """The slot's workload with another template. Errors: every permanent one."""
        strategy = self._controller.pace(request.max_surge, request.max_unavailable)
        await self._look()
        if request.slot == "canary":
            return await self._deploy_canary(request, strategy)
        self._refuse_unsuited(await self._place("stable").get(), request)

        def change(found: Object) -> list[Operation]:
            notes = self._notes(found).model_copy(update={"strategy": self._own(found)})
            base = found["spec"]["template"]
            pod = wanted_pod(request.template, base, notes, name=found["metadata"]["name"])
            replicas = self._number(request, found, found)
            return note(found, notes) + self._put(found, template=pod, replicas=replicas, strategy=strategy)

        return await self._write("stable", change, request.template)

    async def scale(self, request: ScaleRequest) -> Object | None:
        """The slot's workload with another size; None when there is none. Errors: Fenced, ForeignChange."""
        stable = await self._place("stable").held(self.target.key, self.claim)
        if request.slot == "canary" and await self._canary() is None:
            return None
        if request.replicas:
            await self._look()

        def change(found: Object) -> list[Operation]:
            if request.replicas:  # What is emptied may be anybody's.
                self._notes(found)
            pods = self._number(request, stable, found)
            return self._put(found, replicas=pods) + note(found, notes_of(found).sized(pods))

        return await self._place(request.slot).change(self.target.key, self.claim, change)

    async def remove_canary(self) -> None:
        """Deletes the canary's Deployment; none is fine."""
        if await self.held("canary") is not None:
            await self._place("canary").delete(self.target.key, self.claim)

    async def put_back(self) -> None:
        """Writes what somebody else changed again. Errors: Fenced, Rejected."""
        for slot in slots_of(self.target):
            found = await self._place(slot).find()
            if found is not None and is_resized(found):
                await self._place(slot).change(self.target.key, self.claim, self._size_back)
            if found is not None and is_foreign(found):
                await self._put_back(slot, await written(self.api, self.target, slot, found))

    async def _put_back(self, slot: Slot, pod: Object | None) -> None:
        place = self._place(slot)
        if pod is None:
            raise Rejected(
                f"{place.label} has no revision any more that tells what the release wrote; put it back by hand",
                provider="kubernetes",
            )

        def change(found: Object) -> list[Operation]:
            return self._put(found, template=pod) if notes_of(found).wrote == pod_hash(pod) else []

        await place.change(self.target.key, self.claim, change)

    def _size_back(self, found: Object) -> list[Operation]:
        size = notes_of(found).size
        return [] if size is None else self._put(found, replicas=size)

    async def replace_broken(self, pods: Iterable[Object]) -> None:
        """Ends pods, so that the controller makes them anew of the template that is wanted."""
        for pod in pods:
            place = pod["metadata"]
            await self.api.delete(POD, place["namespace"], place["name"], uid=place["uid"])

    async def begin(self, baseline: TargetState) -> None:
        """Notes what a release finds: the user's update strategy, and what was captured of template and size."""
        stable, is_sized = baseline.slot("stable"), self._controller.is_sized and not baseline.autoscalers

        def change(found: Object) -> list[Operation]:
            pod = stable.template.body["pod"] if stable.template else found["spec"]["template"]
            own = found["spec"].get(self._controller.strategy)
            size = stable.replicas if is_sized else None
            known = {"strategy": own, "paced": own, "wrote": pod_hash(pod), "size": size}
            return note(found, notes_of(found).model_copy(update=known))

        await self._place("stable").change(self.target.key, self.claim, change)

    async def lend_strategy_back(self) -> None:
        """Puts the user's update strategy back and keeps the notes: a later write may change it again."""

        def change(found: Object) -> list[Operation]:
            self._notes(found)
            return self._put(found, strategy=self._own(found))

        await self._place("stable").change(self.target.key, self.claim, change)

    async def end(self) -> Template | None:
        """Puts the user's update strategy back and returns what runs; None when the workload is gone."""
        place = self._place("stable")
        if await place.find() is None:
            return None

        def change(found: Object) -> list[Operation]:
            operations = self._put(found, strategy=self._own(found))
            return operations + note(found, Notes(templates=notes_of(found).templates))

        found = await place.change(self.target.key, self.claim, change)
        return described(found["spec"]["template"], notes_of(found))

    async def _deploy_canary(self, request: DeployRequest, strategy: Object) -> Object:
        place, stable = self._place("canary"), await self._place("stable").held(self.target.key, self.claim)
        if self.target.is_in_place:
            raise Unsupported(f"{self._label(stable)} cannot have a copy beside it; release it with rolling")
        self._notes(stable)
        if await self._canary() is None:
            canary = await self._make_canary(place, stable, request, strategy)
            await admit(self.api, self.target, self.claim, stable=stable, canary=canary)
            return canary

        def change(found: Object) -> list[Operation]:
            self._notes(found)
            pod = self._canary_pod(stable, request.template, _changed(stable, found))
            replicas = self._number(request, stable, found)
            return self._put(found, template=pod, replicas=replicas, strategy=strategy)

        canary = await self._write("canary", change, request.template)
        await admit(self.api, self.target, self.claim, stable=stable, canary=canary)
        return canary

    async def _make_canary(self, place: Resource, stable: Object, request: DeployRequest, strategy: Object) -> Object:
        own = {**stable, "spec": {**stable["spec"], "strategy": self._own(stable)}}
        refuse_unsuited(own, await claims_of(self.api, self.target.namespace, stable["spec"]["template"]))
        services = await self.api.search(SERVICE, self.target.namespace)
        changed = changed_labels(stable, services, shared=self.target.shared_service)
        pod = self._canary_pod(stable, request.template, changed)
        replicas = self._number(request, stable)
        body = canary_body(stable, pod, key=self.target.key, replicas=replicas, strategy=strategy)
        stored = await place.create(self.target.key, self.claim, body, dry=True)
        notes = Notes(size=replicas).knowing(request.template, stored["spec"]["template"])
        body["metadata"]["annotations"] = {NOTES: notes.model_dump_json(by_alias=True, exclude_defaults=True)}
        return await place.create(self.target.key, self.claim, body)

    def _canary_pod(self, stable: Object, template: Template, changed: dict[str, str]) -> Object:
        pod = wanted_pod(template, stable["spec"]["template"], Notes(), name=stable["metadata"]["name"])
        return isolated(pod, changed, key=self.target.key)

    async def _canary(self) -> Object | None:
        """The canary under our claim, which the stable Deployment bears; one of a superseded run becomes ours."""
        place, key = self._place("canary"), self.target.key
        if self.target.is_in_place:
            return None
        try:
            return await place.held(key, self.claim)
        except NotFound:
            return None
        except Fenced:
            held = await place.claim(key)
            if held is None or held.epoch >= self.claim.epoch:
                raise
            await place.replace_claim(key, expected=held, claim=self.claim)
            return await place.held(key, self.claim)

    async def _write(self, slot: Slot, change: Change, template: Template) -> Object:
        def seal(stored: Object) -> list[Operation]:
            notes = notes_of(stored).knowing(template, stored["spec"]["template"])
            paced = stored["spec"].get(self._controller.strategy)
            return note(stored, notes.sized(self._controller.size(stored)).model_copy(update={"paced": paced}))

        return await self._place(slot).change(self.target.key, self.claim, change, seal=seal)

    async def _look(self) -> None:
        if self.claim.purpose == "release":
            await asyncio.gather(refuse_foreign(self.api, self.target), refuse_changed(self.api, self.target))

    def _notes(self, found: Object) -> Notes:
        """Our notes on what is there. Errors: ForeignChange when somebody else changed it in mid-release."""
        if self.claim.purpose == "release" and is_foreign(found):
            raise foreign_change(found)
        return notes_of(found)

    def _refuse_unsuited(self, stable: Object, request: DeployRequest) -> None:
        """What the user's own strategy keeps from happening, a release must not undermine."""
        if self.target.exclusive or self.claim.purpose != "release" or not request.replicas:
            return
        pod, own = stable["spec"]["template"], self._own(stable) or {}
        if problem := self._controller.unsuited(own, pod, request.max_surge):
            raise Unsupported(f"{self._label(stable)} {problem}", provider="kubernetes")

    def _number(self, request: DeployRequest | ScaleRequest, stable: Object, there: Object | None = None) -> int:
        """How many pods a slot gets; what an autoscaler has raised meanwhile is never lowered by a share."""
        if not request.share:
            return request.replicas
        size = self._controller.size
        share = ceil(round(request.share * size(stable) / 100, 6))
        return max(request.replicas, share, size(there) if there else 0)

    def _own(self, stable: Object) -> Object | None:
        """The user's own update strategy, also while a release has another one there."""
        notes, there = notes_of(stable), stable["spec"].get(self._controller.strategy)
        return notes.strategy if notes.strategy and notes.paced in (None, there) else there

    def _put(self, found: Object, *, strategy: Object | None = None, **wanted: Any) -> list[Operation]:
        """Sets fields of the spec that differ, after testing that the whole spec still is what was read."""
        if strategy is not None:
            wanted[self._controller.strategy] = strategy
        if not self._controller.is_sized:
            wanted.pop("replicas", None)
        operations = [
            put(("spec", field), value) for field, value in wanted.items() if found["spec"].get(field) != value
        ]
        return [test(("metadata", "generation"), found["metadata"]["generation"]), *operations] if operations else []

    def _label(self, found: Object) -> str:
        return f"{self._controller.kind.name} {found['metadata']['namespace']}/{found['metadata']['name']}"

    def _place(self, slot: Slot) -> Resource:
        return resource(self.api, self.target, slot)

    @property
    def _controller(self) -> Controller:
        return controller_of(self.target)


def _changed(stable: Object, canary: Object) -> dict[str, str]:
    """The labels that were changed when the canary was made."""
    labels = stable["spec"]["template"]["metadata"].get("labels") or {}
    theirs = canary["spec"]["template"]["metadata"].get("labels") or {}
    return {key: theirs[key] for key, value in labels.items() if key in theirs and theirs[key] != value}
