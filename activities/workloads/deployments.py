"""A slot of a Kubernetes target as it is: its Deployment, its ReplicaSets and its pods, read and understood together.

Whatever is said of a slot is derived from one look: nothing is remembered, and nothing is asked twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import DEPLOYMENT, POD, REPLICA_SET
from activities.clusters.kubernetes.labels import canary_labels, canary_name, selector_text
from activities.clusters.kubernetes.pods import is_leaving, is_ready
from activities.clusters.kubernetes.resources import Resource
from activities.clusters.kubernetes.templates import Notes, described, notes_of
from activities.workloads.protocol import Endpoint
from workflows.errors import Rejected
from workflows.model.target import Slot, SlotState, Target, Template


@dataclass(frozen=True)
class Sight:
    """What one look at a slot found."""

    name: str
    deployment: Object | None
    sets: tuple[Object, ...]
    pods: tuple[Object, ...]
    """Those that still run or may run, terminating ones included."""

    @property
    def notes(self) -> Notes:
        """Ours on the Deployment."""
        return notes_of(self.deployment) if self.deployment else Notes()

    @property
    def template(self) -> Template | None:
        """The wanted one."""
        return described(self.deployment["spec"]["template"], self.notes) if self.deployment else None

    @property
    def replicas(self) -> int:
        """The wanted number."""
        return int(self.deployment["spec"].get("replicas", 1)) if self.deployment else 0

    @property
    def templates(self) -> Mapping[str, Template]:
        """By the uid of the ReplicaSet."""
        return {found["metadata"]["uid"]: described(found["spec"]["template"], self.notes) for found in self.sets}

    @property
    def state(self) -> SlotState:
        """The slot as workflows see it."""
        templates, ready = self.templates, Counter[str]()
        staying = Counter(owner(pod) for pod in self.pods if not is_leaving(pod))
        for found in self.sets:
            uid, available = found["metadata"]["uid"], (found.get("status") or {}).get("availableReplicas", 0)
            ready[templates[uid].digest] += min(available, staying[uid])  # A status comes later than what it tells.
        return SlotState(template=self.template, replicas=self.replicas, ready=dict(+ready), running=len(self.pods))

    @property
    def wanted_pods(self) -> list[Object]:
        """Pods of the wanted template that shall stay."""
        templates, template = self.templates, self.template
        digest = template.digest if template else ""
        return [
            pod
            for pod in self.pods
            if not is_leaving(pod) and (found := templates.get(owner(pod))) and found.digest == digest
        ]

    @property
    def is_followed(self) -> bool:
        """Whether the controller has seen what is wanted."""
        if self.deployment is None:
            return True
        seen: int = (self.deployment.get("status") or {}).get("observedGeneration", 0)
        return seen >= int(self.deployment["metadata"]["generation"])

    def is_done(self, replicas: int) -> bool:
        """Whether so many instances of the wanted template are available and nothing else is left."""
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
            template = templates.get(owner(pod))
            address = (pod.get("status") or {}).get("podIP")
            if template and address and is_ready(pod) and not is_leaving(pod):
                host = f"[{address}]" if ":" in address else address
                served = f"{host}:{port or _port(pod, self.name)}"
                found.append(Endpoint(served, template.version, template.digest, pod["metadata"]["uid"]))
        return found


def resource(api: Api, target: Target, slot: Slot) -> Resource:
    """The Deployment of a slot, there or not."""
    name = str(target.workload["deployment"])
    return Resource(api, DEPLOYMENT, target.namespace, name if slot == "stable" else canary_name(name))


def pods_of(target: Target, slot: Slot, deployment: Object | None) -> str:
    """The selector of a slot's pods, which for the canary does not depend on its Deployment."""
    if slot == "canary" or deployment is None:
        return selector_text({"matchLabels": canary_labels(target.key)})
    return selector_text(deployment["spec"]["selector"])


async def look(api: Api, target: Target, slot: Slot) -> Sight:
    """Reads a slot. Errors: NotFound when the user's own Deployment is not there."""
    place = resource(api, target, slot)
    return await look_at(api, target, slot, await (place.find() if slot == "canary" else place.get()))


async def look_at(api: Api, target: Target, slot: Slot, deployment: Object | None) -> Sight:
    """Reads what belongs to a Deployment that was just read."""
    labels = pods_of(target, slot, deployment)
    sets, pods = await asyncio.gather(
        api.search(REPLICA_SET, target.namespace, labels=labels), api.search(POD, target.namespace, labels=labels)
    )
    if slot == "stable" and deployment is not None:
        sets = [found for found in sets if owner(found) == deployment["metadata"]["uid"]]
        ours = {found["metadata"]["uid"] for found in sets}
        pods = [pod for pod in pods if owner(pod) in ours]
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    return Sight(resource(api, target, slot).name, deployment, tuple(sets), tuple(running))


def owner(found: Object) -> str:
    """The uid of the object that controls another."""
    references: list[dict[str, Any]] = found["metadata"].get("ownerReferences") or []
    return next((reference["uid"] for reference in references if reference.get("controller")), "")


def _port(pod: Object, name: str) -> int:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or []]
    if not ports:
        raise Rejected(
            f"Deployment {name} declares no port; write workload.port, so that its pods can be asked",
            provider="kubernetes",
        )
    named = [port for port in ports if port.get("name") == "http"]
    return int((named or ports)[0]["containerPort"])
