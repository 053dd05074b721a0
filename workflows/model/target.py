"""Where a component runs and what is there: the vocabulary between planner, workflows and providers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from workflows.model.shapes import Message

Slot = Literal["stable", "canary"]
"""The two places of a target: the user's own workload, and the one Headgate makes beside it (blue and green)."""

Backend = Literal["stable", "canary", "maintenance"]
"""What a router can send users to."""

SLOTS: tuple[Slot, ...] = ("stable", "canary")

OBJECTS = ("deployment", "statefulSet", "daemonSet")
"""The fields of a Kubernetes workload that name what runs it, one of them each time."""

PURPOSES = ("restore", "release", "undo")
"""What a run claims a target for, in the order in which one run may: it settles what a lost run left, then releases,
then undoes its own. A late attempt of an earlier one never takes the target from a later one."""


class Template(Message):
    """One runnable version; two templates with the same digest are the same thing."""

    version: str
    digest: str
    """Hash of version and body, made by `planning.templates`."""
    body: dict[str, Any] = {}
    """What the workload provider starts; its shape is the provider's own."""


class Target(Message):
    """One component's place in the world."""

    component: str
    cluster: str
    """An alias in the worker's settings."""
    namespace: str
    workload: dict[str, Any]
    """The component's `workload`, with its `kind`."""
    traffic: dict[str, Any] = {"kind": "none"}
    """The component's `traffic`, with its `kind`."""
    drain_seconds: float = 30
    exclusive: bool = False
    """Two versions never run at the same time: the old one stops before the new one starts, in undo too."""
    queue: str = ""
    """The task queue of the workers inside the cluster; empty where the release's own workers reach it."""

    @property
    def sort(self) -> str:
        """What runs it: the one of `OBJECTS` in a Kubernetes cluster, else the workload's kind."""
        return next((field for field in OBJECTS if field in self.workload), str(self.workload["kind"]))

    @property
    def name(self) -> str:
        """What its workload is called in its namespace."""
        return str(self.workload.get(self.sort) or self.workload.get("service") or self.workload.get("name", ""))

    @property
    def key(self) -> str:
        """The lock: equal for every release that would touch the same workload, whatever its environment or router."""
        return f"{self.cluster}/{self.namespace}/{self.sort.lower()}/{self.name}"

    @property
    def rollout_id(self) -> str:
        """The workflow id that holds the lock."""
        return f"rollout/{self.key}"

    @property
    def is_in_place(self) -> bool:
        """Whether no second version can stand beside the first: its pods have a name or a node of their own."""
        return self.sort in ("statefulSet", "daemonSet")

    @property
    def is_per_node(self) -> bool:
        """Whether the cluster's nodes say how many instances there are, and nobody writes it."""
        return self.sort == "daemonSet"

    @property
    def is_routed(self) -> bool:
        """Whether a router stands before the workload; otherwise exposure follows the replicas."""
        return self.traffic.get("kind", "none") not in ("none", "replicas")

    @property
    def is_counted(self) -> bool:
        """Whether users reach both versions through one Service, divided by the number of pods."""
        return bool(self.traffic.get("kind") == "replicas")

    @property
    def shared_service(self) -> str:
        """The Service that selects the pods of both versions; empty where each version has its own."""
        is_shared = self.is_counted or self.traffic.get("destinationRule")
        return str(self.traffic["service"]) if is_shared else ""

    @property
    def is_switched(self) -> bool:
        """Whether the router sends all users to one backend, and can never divide them."""
        return self.traffic.get("kind") in ("service", "ingress")

    @property
    def keeps_stable(self) -> bool:
        """Whether users need the stable slot whatever its weight.

        ingress-nginx answers 503 for all when it is empty, and users with a session stay there; the paths that an
        Ingress leads to the same Service beside the one that is switched do, too.
        """
        kind = self.traffic.get("kind")
        return kind == "nginx" or (kind == "ingress" and any(self.traffic.get(name) for name in ("host", "path")))


class ReleaseRef(Message):
    """Which release somebody acts for; survives continue-as-new and reset by its first run id."""

    workflow_id: str
    first_run_id: str
    environment: str
    name: str
    version: str


class Claim(Message):
    """The right to write to a target: valid while the fences of the whole write set hold exactly this."""

    epoch: int
    workflow_id: str
    run_id: str
    purpose: str
    """One of `PURPOSES`."""


class Pace(Message):
    """How many instances at a time a replacement in place exchanges."""

    surge: int = 0
    """Above the wanted number."""
    unavailable: int = 0
    """Below it."""


class SlotState(Message):
    """What one slot wants and has."""

    template: Template | None = None
    """The wanted template; None when the slot is empty."""
    replicas: int = 0
    """The wanted number of instances."""
    ready: dict[str, int] = {}
    """Ready instances by template digest."""
    running: int = 0
    """Instances of any template and condition, those that are stopping included; 0 where the provider cannot tell."""
    pace: Pace | None = None
    """Of the replacement that was begun last, or else the user's own; None where the provider cannot tell."""

    def ready_of(self, digest: str) -> int:
        """Ready instances of one template."""
        return self.ready.get(digest, 0)

    @property
    def serving(self) -> int:
        """Ready instances of the wanted template, surplus left out."""
        return min(self.replicas, self.ready_of(self.template.digest)) if self.template else 0

    @property
    def template_version(self) -> str:
        """The wanted version, for sentences."""
        return self.template.version if self.template else "nothing"

    @property
    def is_empty(self) -> bool:
        """Nothing is wanted and nothing runs."""
        return self.replicas == 0 and not any(self.ready.values()) and self.running == 0

    def is_purely(self, digest: str) -> bool:
        """Something is ready, and all of it runs this template."""
        return self.ready_of(digest) > 0 and sum(self.ready.values()) == self.ready_of(digest)


class TrafficState(Message):
    """What a router sends where."""

    weights: dict[Backend, float] = {}
    """Percent by backend; they sum to 100, or are empty when nothing is routed yet."""
    preview_to: Slot | None = None
    """Where header matches and the preview host lead, when they lead anywhere."""
    affinity: str = ""
    """What holds a user to one backend, in words; empty where each request is divided anew. Found at capture."""
    raw: dict[str, Any] = {}
    """What only the router itself understands and needs to restore its exact state."""


class Autoscaler(Message):
    """What moves the number of the stable slot's instances besides a release."""

    kind: str
    name: str
    maximum: int = 0
    fields: dict[str, Any] = {}
    """What a release may change of it, as it was captured; None for what was not there."""
    shared: tuple[str, ...] = ()
    """What it measures beyond the instances that it scales, so that the work of another version may count."""

    @property
    def label(self) -> str:
        """How people know it."""
        return f"{self.kind} {self.name}"


class Sync(Message):
    """A GitOps application that applies Git's state to objects of a target."""

    name: str
    namespace: str
    paused: bool = False
    """Its automated syncs would put back what the release moves, so they rest until the release has settled."""
    automated: dict[str, Any] | None = None
    """The policy of automated syncs that is put back."""


class TargetState(Message):
    """A target as observed at one moment; the one recorded before the first change is the baseline."""

    slots: dict[Slot, SlotState] = {}
    traffic: TrafficState | None = None
    """None where no router stands before the workload."""
    autoscalers: tuple[Autoscaler, ...] = ()
    """What moves the stable slot's number; only a baseline knows."""
    syncs: tuple[Sync, ...] = ()
    """Recorded in a baseline only."""
    observed_at: datetime | None = None
    """By the provider's clock."""

    @property
    def waits_for_git(self) -> bool:
        """Whether a sync is paused, which would bring back what Git names until Git names the new version."""
        return any(sync.paused for sync in self.syncs)

    def slot(self, slot: Slot) -> SlotState:
        """One slot's state; an unknown slot is empty."""
        return self.slots.get(slot, SlotState())

    def weight(self, backend: Backend) -> float:
        """Percent of the traffic that a backend gets."""
        return self.traffic.weights.get(backend, 0.0) if self.traffic else 0.0


class Mark(Message):
    """What stands beside a target from its first change until settlement: enough to undo without any history."""

    target: Target
    release: ReleaseRef
    rollout_run_id: str
    """The Rollout run that captured."""
    baseline: TargetState
    version: str
    """The version being released."""
    marked_at: datetime | None = None
    temporal_namespace: str = ""
    """Where its runs can be asked about; whoever asks elsewhere leaves the mark alone."""


class Promoted(Message):
    """A version that was released here before; the last ten are kept beside the target for `rollback --to`."""

    target: Target
    environment: str
    release: str
    version: str
    template: Template
    component: dict[str, Any] = {}
    """The component as it was written, for its checks and analysis."""
    outcome: Literal["promoted", "rolledBack"] = "promoted"
    at: datetime | None = None
