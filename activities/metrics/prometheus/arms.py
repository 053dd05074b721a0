"""Which series belong to which slot, by the labels that a kind of target has in Prometheus."""

from __future__ import annotations

import re

from activities.clusters.kubernetes.labels import canary_name
from activities.metrics.prometheus.settings import Labels
from workflows.errors import Unsupported
from workflows.model.series import Matcher
from workflows.model.target import Slot, Target

Arm = tuple[Matcher, ...]
"""Conditions that the series of one slot meet, and no others."""

_LETTER = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes makes random names of."""

_PODS = {
    "deployment": f"{_LETTER}{{1,10}}-{_LETTER}{{5}}",
    "statefulSet": "[0-9]+",
    "daemonSet": f"{_LETTER}{{5}}",
}
"""What follows a workload's name in the names of its pods."""


def workload_of(target: Target, slot: Slot) -> str:
    """What runs a slot is called so."""
    return canary_name(target.name) if slot == "canary" else target.name


def pods_of(target: Target, slot: Slot) -> str:
    """A pattern of the names of a slot's pods. Errors: Unsupported where there are none."""
    ending = _PODS.get(target.sort)
    if ending is None:
        raise Unsupported(
            f"{target.component} is no workload of Kubernetes, so it has no pods whose series could be told apart; "
            "use source: envoy, or a query of your own",
            provider="prometheus",
        )
    return f"{re.escape(workload_of(target, slot))}-{ending}".replace("\\-", "-")


def by_pods(target: Target, slot: Slot, labels: Labels) -> Arm:
    """Series of a slot's own pods."""
    pods = pods_of(target, slot)
    return Matcher(labels.namespace, "=", target.namespace), Matcher(labels.pod, "=~", pods)


def by_envoy_cluster(target: Target, slot: Slot, labels: Labels) -> Arm:
    """Series of the cluster that Headgate's Envoy has for a slot, however the Envoy tags it."""
    del labels
    route = str(target.traffic.get("route", ""))
    if not route:
        raise Unsupported(
            f"{target.component} has no Envoy route, so Envoy counts nothing for it; use another source",
            provider="prometheus",
        )
    return (Matcher("envoy_cluster_name", "=~", f"{route}(\\.{slot})?"),)
