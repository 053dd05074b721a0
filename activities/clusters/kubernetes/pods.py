"""What a pod says about itself; pure."""

from __future__ import annotations

from activities.clusters.kubernetes.api import Object


def is_leaving(pod: Object) -> bool:
    """Whether a pod was asked to stop."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def has_ended(pod: Object) -> bool:
    """Whether nothing of a pod runs any more, though it may be listed for a moment."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def addresses(pod: Object) -> set[str]:
    """Where a pod can be reached: one address of each family that it has."""
    return {entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or ()}


def is_ready(pod: Object) -> bool:
    """Whether a pod says that it can serve."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
