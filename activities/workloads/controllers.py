"""What Deployments, StatefulSets and DaemonSets do differently: a value for each, and no code for one of them alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import (
    CONTROLLER_REVISION,
    DAEMON_SET,
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    Kind,
)
from workflows.model.target import Pace, Target

HASH = "controller-revision-hash"
"""The label by which a pod, and a DaemonSet's ControllerRevision, name their revision."""


@dataclass(frozen=True)
class Controller:
    """One kind of workload: where its spec and status have what we read and write."""

    kind: Kind
    strategy: str
    """The field of its spec that says how pods are replaced."""
    pace: Callable[[int, int], Object]
    """From pods above and below the wanted number, the strategy that replaces so many at a time."""
    unsuited: Callable[[Object, Object, int], str]
    """From the user's own strategy, the pod template and the pods above the wanted number, what keeps a release from
    replacing pods; nothing when all is well."""
    wanted: tuple[str, str]
    """Where the wanted number of pods is: in the spec, or in the status where nobody writes it."""
    available: str
    """The field of a status that counts the available ones."""
    revisions: Kind
    """What remembers its pod templates."""
    template: tuple[str, ...]
    """Where a revision has its pod template."""
    revision: Callable[[Object], str]
    """What a revision is called by its pods."""
    of_pod: Callable[[Object], str]
    """What a pod calls its revision."""
    has_canary: bool = False
    """A copy may stand beside it for a second version."""
    leaves_broken: bool = False
    """It waits for a broken pod for ever, also when that one's template is no longer wanted."""

    @property
    def is_sized(self) -> bool:
        """Whether the number of its pods may be written."""
        return self.wanted[0] == "spec"

    def size(self, found: Object) -> int:
        """The number of pods that an object wants."""
        place, field = self.wanted
        return int((found.get(place) or {}).get(field, int(self.is_sized)))

    def template_of(self, revision: Object) -> Object:
        """The pod template that a revision remembers."""
        found = revision
        for part in self.template:
            found = found[part]
        return {key: value for key, value in found.items() if not key.startswith("$")}  # Where it is kept as a patch.


def controller_of(target: Target) -> Controller:
    """The controller that a target's workload names."""
    return CONTROLLERS[target.sort]


def owner(found: Object) -> str:
    """The uid of the object that controls another."""
    references: list[dict[str, Any]] = found["metadata"].get("ownerReferences") or []
    return next((reference["uid"] for reference in references if reference.get("controller")), "")


def pace_of(strategy: Object, size: int) -> Pace | None:
    """How many of so many pods a strategy replaces at a time; None where it does not say so."""
    rolling = strategy.get("rollingUpdate")
    if not rolling:
        return None
    surge, unavailable = rolling.get("maxSurge", 0), rolling.get("maxUnavailable", 0)
    return Pace(surge=_pods(surge, size, ceil), unavailable=_pods(unavailable, size, floor))


def _pods(number: int | str, size: int, rounded: Callable[[float], int]) -> int:
    """A number or a percentage, rounded as controllers do."""
    return number if isinstance(number, int) else rounded(int(number.rstrip("%")) * size / 100)


def _hash(found: Object) -> str:
    return str((found["metadata"].get("labels") or {}).get(HASH, ""))


def _pace(surge: int, unavailable: int) -> Object:
    # The API refuses a strategy under which nothing could ever be replaced.
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable or int(not surge)}
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def _pace_on_nodes(surge: int, unavailable: int) -> Object:
    # It refuses both together for DaemonSets.
    return _pace(surge, 0 if surge else unavailable)


def _pace_in_order(_: int, unavailable: int) -> Object:
    # Without its feature MaxUnavailableStatefulSet an API server drops the number, and replaces one after the other.
    more = {"maxUnavailable": unavailable} if unavailable > 1 else {}
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, **more}}


def _recreates(own: Object, _: Object, __: int) -> str:
    if own.get("type") == "Recreate":
        return (
            "has the update strategy Recreate, so two versions must not run at the same time; release it with recreate"
        )
    return ""


def _on_delete(own: Object, _: Object, __: int) -> str:
    if own.get("type") == "OnDelete":
        return (
            "has the update strategy OnDelete, so a person or an operator replaces its pods and a release must not; "
            "set RollingUpdate, or leave it to them"
        )
    return ""


def _in_parts(own: Object, pod: Object, surge: int) -> str:
    if partition := (own.get("rollingUpdate") or {}).get("partition"):
        return (
            f"has the partition {partition}, so somebody else is updating it in parts; set partition to 0 when that is "
            "done"
        )
    return _on_delete(own, pod, surge)


def _on_ports(own: Object, pod: Object, surge: int) -> str:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or []]
    if surge and any(port.get("hostPort") for port in ports):
        return (
            "takes ports of its nodes (hostPort), so a new pod cannot start beside the old one; write maxUnavailable "
            "in place of maxSurge"
        )
    return _on_delete(own, pod, surge)


_IN_DATA = ("data", "spec", "template")
CONTROLLERS = {
    "deployment": Controller(
        kind=DEPLOYMENT,
        strategy="strategy",
        pace=_pace,
        unsuited=_recreates,
        wanted=("spec", "replicas"),
        available="availableReplicas",
        revisions=REPLICA_SET,
        template=("spec", "template"),
        revision=lambda found: str(found["metadata"]["uid"]),
        of_pod=owner,
        has_canary=True,
    ),
    "statefulSet": Controller(
        kind=STATEFUL_SET,
        strategy="updateStrategy",
        pace=_pace_in_order,
        unsuited=_in_parts,
        wanted=("spec", "replicas"),
        available="availableReplicas",
        revisions=CONTROLLER_REVISION,
        template=_IN_DATA,
        revision=lambda found: str(found["metadata"]["name"]),
        of_pod=_hash,
        leaves_broken=True,
    ),
    "daemonSet": Controller(
        kind=DAEMON_SET,
        strategy="updateStrategy",
        pace=_pace_on_nodes,
        unsuited=_on_ports,
        wanted=("status", "desiredNumberScheduled"),
        available="numberAvailable",
        revisions=CONTROLLER_REVISION,
        template=_IN_DATA,
        revision=_hash,
        of_pod=_hash,
    ),
}
