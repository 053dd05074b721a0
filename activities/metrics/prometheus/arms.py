"""Which series belong to which slot, by the labels that a kind of target has in Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping

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

_KEPT = 58
"""Characters that an API server keeps of a name before it adds five random ones (`names.SimpleNameGenerator`)."""

_HASH = 11
"""Characters of a ReplicaSet's name after its Deployment's and a dash, at most: a hash of ten and a dash."""
_TOLD_APART = 55
"""Characters of a Deployment's name up to which its pods and those of its copy differ, however much is cut."""


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
    name = workload_of(target, slot)
    whole, kept = f"{_escaped(name)}-{ending}", f"{name}-"[:_KEPT]
    if target.sort != "deployment" or len(kept) + _HASH <= _KEPT or len(target.name) > _TOLD_APART:
        return whole
    return f"(?:{whole}|{_escaped(kept)}{_LETTER}{{{_KEPT - len(kept) + 5}}})"


def _escaped(name: str) -> str:
    return re.escape(name).replace("\\-", "-")


def by_pods(target: Target, slot: Slot, labels: Labels) -> Arm:
    """Series of a slot's own pods."""
    pods = pods_of(target, slot)
    return Matcher(labels.namespace, "=", target.namespace), Matcher(labels.pod, "=~", pods)


def by_workload(target: Target, slot: Slot, *, namespace: str, name: str) -> Arm:
    """Series with the name of what runs a slot."""
    return Matcher(namespace, "=", target.namespace), Matcher(name, "=", workload_of(target, slot))


def by_istio_workload(target: Target, slot: Slot, labels: Labels) -> Arm:
    """What clients and gateways saw of a slot: also what never reached it."""
    del labels
    names = by_workload(target, slot, namespace="destination_workload_namespace", name="destination_workload")
    return Matcher("reporter", "=", "source"), *names


def by_linkerd_deployment(target: Target, slot: Slot, labels: Labels) -> Arm:
    """What the proxies of a slot's own pods let in."""
    names = by_workload(target, slot, namespace=labels.namespace, name="deployment")
    return Matcher("direction", "=", "inbound"), *names


def by_contour_cluster(target: Target, slot: Slot, labels: Labels) -> Arm:
    """Series of the cluster that Contour gives Envoy for a Service: `<namespace>_<service>_<port>`."""
    del labels
    return (Matcher("envoy_cluster_name", "=~", f"{target.namespace}_{service_of(target, slot)}_[0-9]+"),)


def by_traefik_service(target: Target, slot: Slot, labels: Labels) -> Arm:
    """Series of a Service behind a TraefikService: `<namespace>-<service>-<port>@kubernetescrd`."""
    del labels
    return (Matcher("service", "=~", f"{target.namespace}-{service_of(target, slot)}-[0-9a-z]+@kubernetescrd"),)


def by_nginx_ingress(target: Target, slot: Slot, labels: Labels) -> Arm:
    """Series of the Service that an Ingress names; `canary` names the one that answered in its place."""
    del labels
    served = Matcher("service", "=", service_of(target, "stable"))
    if slot == "stable":
        return served, Matcher("canary", "=", "")
    return served, Matcher("canary", "=~", f"{target.namespace}-{service_of(target, slot)}-.+")


def in_namespace(target: Target, labels: Mapping[str, str]) -> bool:
    """Whether a label with the namespace means ours; Prometheus renames it where the target has one of its own."""
    return labels.get("exported_namespace", labels.get("namespace", "")) == target.namespace


def service_of(target: Target, slot: Slot) -> str:
    """The Service that leads to a slot."""
    service = str(target.traffic.get("service", ""))
    return canary_name(service) if slot == "canary" else service


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
