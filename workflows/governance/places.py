"""Where a component may run: only the clusters and namespaces that its environment names."""

from __future__ import annotations

from workflows.errors import Problem
from workflows.model.complaints import did_you_mean, listed
from workflows.model.policy import Environment
from workflows.model.release import Component


def place(component: Component, environment: Environment, name: str, *, at: str) -> tuple[str, str] | Problem:
    """Cluster and namespace of a component, or why there is none; what the spec leaves out must be the only choice."""
    work = component.workload
    clusters = {target.cluster: target.namespaces for target in environment.targets}
    if work.cluster is not None and work.cluster not in clusters:
        hint = did_you_mean(work.cluster, clusters)
        message = f"{name} may not touch cluster {work.cluster}{hint} (allowed: {listed(clusters)})"
        return Problem(f"{at}.workload.cluster", message)
    wanted = {work.cluster: clusters[work.cluster]} if work.cluster else clusters
    places = [(cluster, namespace) for cluster, namespaces in wanted.items() for namespace in namespaces]
    found = [place for place in places if work.namespace in (None, place[1])]
    if not found:
        hint = did_you_mean(work.namespace or "", [namespace for _, namespace in places])
        message = f"{name} may not touch namespace {work.namespace}{hint} (allowed: {_listed(places)})"
        return Problem(f"{at}.workload.namespace", message)
    if len(found) > 1:
        field = "cluster" if len({cluster for cluster, _ in found}) > 1 else "namespace"
        return Problem(
            f"{at}.workload.{field}", f"is missing: {name} allows several places; say which ({_listed(found)})"
        )
    return found[0]


def _listed(places: list[tuple[str, str]]) -> str:
    return listed(f"{cluster}/{namespace}" for cluster, namespace in places)
