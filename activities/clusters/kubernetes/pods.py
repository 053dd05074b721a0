"""What a pod says about itself; pure."""

from __future__ import annotations

from datetime import datetime
from math import inf

from activities.clusters.kubernetes.api import Object

OVERDUE = 60.0
"""Seconds after the end of its grace by which a node that works has ended a pod, whatever the pod does."""


def is_leaving(pod: Object) -> bool:
    """Whether a pod was asked to stop."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def lost_at(pod: Object) -> float:
    """The time, in seconds since the epoch, from which a pod that has not ended by then is lost with its node.

    Of a node that nobody hears of, the API server keeps such pods for ever, and marks them as not ready; Services lead
    nobody there. Never for a pod that was not asked to stop, or that still says it is ready.
    """
    deadline = pod["metadata"].get("deletionTimestamp")
    return datetime.fromisoformat(deadline).timestamp() + OVERDUE if deadline and not is_ready(pod) else inf


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
