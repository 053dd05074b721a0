"""A slot of a Kubernetes target as it is: its workload, the revisions and the pods, read and understood together.

Whatever is said of a slot is derived from one look: nothing is remembered, and nothing is asked twice.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import POD
from activities.clusters.kubernetes.labels import canary_labels, canary_name, selector_text
from activities.clusters.kubernetes.pods import has_ended, is_leaving, is_ready, lost_at
from activities.clusters.kubernetes.resources import MadeResource, Resource
from activities.clusters.kubernetes.templates import Notes, described, is_foreign, is_resized, notes_of
from activities.workloads.controllers import Controller, controller_of, owner, pace_of
from activities.workloads.protocol import Endpoint
from workflows.errors import Rejected
from workflows.model.target import SLOTS, Pace, Slot, SlotState, Target, Template


@dataclass(frozen=True)
class Sight:
    """What one look at a slot found."""

    name: str
    controller: Controller
    workload: Object | None
    """The Deployment, StatefulSet or DaemonSet."""
    revisions: tuple[Object, ...]
    pods: tuple[Object, ...]
    """Those that still run or may run, terminating ones included."""
    outdated_at: float = inf
    """When one of the pods counts as lost without any change of an object, in seconds since the epoch."""

    @property
    def notes(self) -> Notes:
        """Ours on the workload."""
        return notes_of(self.workload) if self.workload else Notes()

    @property
    def template(self) -> Template | None:
        """The wanted one."""
        return described(self.workload["spec"]["template"], self.notes) if self.workload else None

    @property
    def replicas(self) -> int:
        """The wanted number."""
        return self.controller.size(self.workload) if self.workload else 0

    @property
    def is_changed(self) -> bool:
        """Whether it is not what a release wrote last."""
        return self.workload is not None and (is_foreign(self.workload) or is_resized(self.workload))

    @property
    def templates(self) -> Mapping[str, Template]:
        """By what pods call their revision."""
        how, notes = self.controller, self.notes
        return {how.revision(found): described(how.template_of(found), notes) for found in self.revisions}

    @property
    def state(self) -> SlotState:
        """The slot as workflows see it."""
        templates, ready = self.templates, Counter[str]()
        serving = Counter(self.controller.of_pod(pod) for pod in self.pods if is_ready(pod) and not is_leaving(pod))
        for found in self.revisions:
            name = self.controller.revision(found)
            ready[templates[name].digest] += min(self._available(found), serving[name])
        return SlotState(
            template=self.template,
            replicas=self.replicas,
            ready=dict(+ready),
            running=len(self.pods),
            pace=self._pace,
        )

    @property
    def _pace(self) -> Pace | None:
        strategy = self.workload["spec"].get(self.controller.strategy) if self.workload else None
        return pace_of(strategy, self.replicas) if strategy else None

    def _available(self, revision: Object) -> int:
        """Pods that stayed ready for long enough, of a revision or, where that one has no status, of all of them."""
        status = revision.get("status") or (self.workload or {}).get("status") or {}
        return int(status.get(self.controller.available, 0))

    @property
    def wanted_pods(self) -> list[Object]:
        """Pods of the wanted template that shall stay."""
        templates, template = self.templates, self.template
        digest = template.digest if template else ""
        of_pod = self.controller.of_pod
        return [
            pod
            for pod in self.pods
            if not is_leaving(pod) and (found := templates.get(of_pod(pod))) and found.digest == digest
        ]

    @property
    def stuck_pods(self) -> list[Object]:
        """Pods of other templates that serve nobody, where the controller itself would wait for them for ever."""
        if not self.controller.leaves_broken or not self.is_followed:
            return []
        wanted = {pod["metadata"]["uid"] for pod in self.wanted_pods}
        others = [pod for pod in self.pods if pod["metadata"]["uid"] not in wanted]
        return [pod for pod in others if not is_ready(pod) and not is_leaving(pod)]

    @property
    def is_followed(self) -> bool:
        """Whether the controller has seen what is wanted."""
        if self.workload is None:
            return True
        seen: int = (self.workload.get("status") or {}).get("observedGeneration", 0)
        return seen >= int(self.workload["metadata"]["generation"])

    def is_done(self, replicas: int) -> bool:
        """Whether so many instances of the wanted template are available and nothing else is left."""
        if not self.controller.is_sized:
            replicas = min(replicas, self.replicas)  # A node that has left takes its instance with it.
        if replicas == 0:
            return not self.pods and self.replicas == 0 and self.is_followed
        state = self.state
        if state.template is None or not self.is_followed:
            return False
        others = len(self.pods) - len(self.wanted_pods)
        return not others and len(self.pods) <= state.replicas and state.ready_of(state.template.digest) >= replicas

    def endpoints(self, port: int | None) -> list[Endpoint]:
        """The ready pods. Errors: Rejected when nobody says which port they serve."""
        templates, found = self.templates, []
        for pod in self.pods:
            template = templates.get(self.controller.of_pod(pod))
            address = (pod.get("status") or {}).get("podIP")
            if template and address and is_ready(pod) and not is_leaving(pod):
                host = f"[{address}]" if ":" in address else address
                served = f"{host}:{port or _port(template, self.name)}"
                found.append(Endpoint(served, template.version, template.digest, pod["metadata"]["uid"]))
        return found


def slots_of(target: Target) -> tuple[Slot, ...]:
    """The slots that a target can have."""
    return ("stable",) if target.is_in_place else SLOTS


def resource(api: Api, target: Target, slot: Slot) -> Resource:
    """What runs a slot, there or not."""
    kind = controller_of(target).kind
    if slot == "stable":
        return Resource(api, kind, target.namespace, target.name)
    return MadeResource(api, kind, target.namespace, canary_name(target.name))


def pods_of(target: Target, slot: Slot, workload: Object | None) -> str:
    """The selector of a slot's pods, which for the canary does not depend on its Deployment."""
    if slot == "canary" or workload is None:
        return selector_text({"matchLabels": canary_labels(target.key)})
    return selector_text(workload["spec"]["selector"])


async def look(api: Api, target: Target, slot: Slot) -> Sight:
    """Reads a slot. Errors: NotFound when the user's own workload is not there."""
    if target.is_in_place and slot == "canary":
        return nothing(api, target, slot)
    place = resource(api, target, slot)
    return await look_at(api, target, slot, await (place.find() if slot == "canary" else place.get()))


def nothing(api: Api, target: Target, slot: Slot) -> Sight:
    """An empty slot."""
    return Sight(resource(api, target, slot).name, controller_of(target), None, (), ())


async def look_at(api: Api, target: Target, slot: Slot, workload: Object | None) -> Sight:
    """Reads what belongs to a workload that was just read."""
    if workload is None and target.is_in_place:
        return nothing(api, target, slot)
    labels, controller = pods_of(target, slot, workload), controller_of(target)
    revisions, pods = await asyncio.gather(
        api.search(controller.revisions, target.namespace, labels=labels),
        api.search(POD, target.namespace, labels=labels),
    )
    if slot == "stable" and workload is not None:
        uid = workload["metadata"]["uid"]
        revisions = [found for found in revisions if owner(found) == uid]
        owners = {uid, *(found["metadata"]["uid"] for found in revisions)}
        pods = [pod for pod in pods if owner(pod) in owners]
    running = [pod for pod in pods if not has_ended(pod)]
    outdated_at = inf
    if not target.exclusive:  # What must never run beside another version may still do so on a node that is cut off.
        now = time.time()
        running = [pod for pod in running if now < lost_at(pod)]
        outdated_at = min(map(lost_at, running), default=inf)
    name = resource(api, target, slot).name
    return Sight(name, controller, workload, tuple(revisions), tuple(running), outdated_at)


def _port(template: Template, name: str) -> int:
    """The workload's own: what is injected into a pod, such as a mesh's proxy, has ports of its own."""
    ports = [port for container in template.body["pod"]["spec"]["containers"] for port in container.get("ports") or []]
    if not ports:
        raise Rejected(
            f"{name} declares no port; write workload.port, so that its pods can be asked",
            provider="kubernetes",
        )
    named = [port for port in ports if port.get("name") == "http"]
    return int((named or ports)[0]["containerPort"])
