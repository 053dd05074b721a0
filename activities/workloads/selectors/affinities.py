"""Rules by which the scheduler puts pods near others or away from them, where they mean the stable pods alone; pure.

The canary's own are rewritten for it. Those of other pods are their owners', so they can only be told.
"""

from __future__ import annotations

from collections.abc import Iterable

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import matches
from activities.clusters.kubernetes.templates import selectors_in
from activities.workloads.selectors.meaning import Meaning

_HASH = "pod-template-hash"


def is_rewritten(pod: Object, meaning: Meaning) -> bool:
    """Whether rules of the pod template itself are others in the canary's."""
    return any(map(meaning.is_missed, selectors_in(pod)))


def missed(pods: Iterable[Object], meaning: Meaning) -> list[str]:
    """The owners of other pods whose rules do not reach the canary's."""
    names = {
        _owner(pod): None
        for pod in pods
        if not matches({"matchLabels": meaning.stable}, pod["metadata"].get("labels") or {})
        and any(map(meaning.is_missed, selectors_in(pod)))
    }
    return [f"the affinity of {name}" for name in names]


def _owner(pod: Object) -> str:
    """What people call a pod by: its Deployment, or whatever else made it."""
    metadata = pod["metadata"]
    owners = metadata.get("ownerReferences") or [{"name": metadata["name"]}]
    template = (metadata.get("labels") or {}).get(_HASH)
    return str(owners[0]["name"]).removesuffix(f"-{template}")
