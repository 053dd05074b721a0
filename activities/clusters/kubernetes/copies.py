"""The Deployment that Headgate makes beside the user's own: what is copied, and what keeps the two apart; pure."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import MANAGED, Labels, apart, beside, canary_labels, matches
from activities.clusters.kubernetes.templates import selectors_in
from workflows.errors import Unsupported

_LABELS = (
    "app",
    "app.kubernetes.io/component",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "owner",
    "team",
)
"""What people search by. Everything else on the Deployment may be somebody's tracking mark: Argo CD would prune a copy
that carries its own, and kubectl would merge with what it did not apply."""
_SPEC = ("minReadySeconds", "progressDeadlineSeconds")


def canary_body(stable: Object, pod: Object, *, key: str, replicas: int, strategy: Object) -> Object:
    """A Deployment that runs a pod template beside the stable one."""
    labels = stable["metadata"].get("labels") or {}
    return {
        "metadata": {"labels": {k: labels[k] for k in _LABELS if k in labels} | MANAGED | canary_labels(key)},
        "spec": {
            **{field: stable["spec"][field] for field in _SPEC if field in stable["spec"]},
            "replicas": replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": canary_labels(key)},
            "strategy": strategy,
            "template": pod,
        },
    }


def changed_labels(stable: Object, services: Iterable[Object], *, shared: str = "") -> dict[str, str]:
    """What makes pods like the stable ones invisible to its selector and to the Services that select them.

    A shared Service goes on selecting both. Errors: Unsupported.
    """
    name, labels, selector = stable["metadata"]["name"], pod_labels(stable), stable["spec"]["selector"]
    reached = {
        service["metadata"]["name"]: {"matchLabels": chosen}
        for service in services
        if (chosen := service["spec"].get("selector")) and matches({"matchLabels": chosen}, labels)
    }
    if not shared:
        return apart(name, labels, [selector, *reached.values()])
    if shared not in reached:
        raise Unsupported(
            f"Service {shared} does not select the pods of Deployment {name}, so it cannot divide users between two "
            "versions of them; name the Service that does",
            provider="kubernetes",
        )
    kept = reached.pop(shared)
    return beside(name, labels, kept, [selector, *reached.values()])


def pod_labels(deployment: Object) -> dict[str, str]:
    """The labels of a Deployment's pods."""
    return dict(deployment["spec"]["template"]["metadata"].get("labels") or {})


def isolated(pod: Object, changed: Labels, *, key: str) -> Object:
    """A pod template with other labels; its affinities and spread constraints mean them where they meant its own."""
    pod = deepcopy(pod)
    labels = pod["metadata"].get("labels") or {}
    for selector in selectors_in(pod):
        _rename(selector, labels, changed)
    pod["metadata"]["labels"] = {**labels, **changed, **canary_labels(key)}
    return pod


def _rename(selector: Object, labels: Labels, changed: Labels) -> None:
    """Makes a selector mean pods with the changed labels where it means their own, or all but their own."""
    means_own = matches(selector, labels)
    if means_own and selector.get("matchLabels"):
        selector["matchLabels"] |= {name: changed[name] for name in selector["matchLabels"] if name in changed}
    for expression in selector.get("matchExpressions") or []:
        name, values = expression["key"], expression.get("values") or []
        if name not in changed or labels[name] not in values:
            continue
        if expression["operator"] == "NotIn":
            values.append(changed[name])
        elif means_own:
            values[values.index(labels[name])] = changed[name]


def refuse_unsuited(stable: Object, claims: Iterable[Object]) -> None:
    """Refuses what cannot run twice at the same time. Errors: Unsupported, naming the alternative."""
    name, spec = stable["metadata"]["name"], stable["spec"]["template"]["spec"]
    problem = ""
    if (stable["spec"].get("strategy") or {}).get("type") == "Recreate":
        problem = "its own strategy is Recreate"
    if any(port.get("hostPort") for container in spec["containers"] for port in container.get("ports") or []):
        problem = "it takes ports of its node (hostPort)"
    for claim in claims:
        if not {"ReadWriteMany", "ReadOnlyMany"} & set(claim["spec"].get("accessModes") or []):
            problem = f"its volume {claim['metadata']['name']} can be mounted on one node only"
    if problem:
        raise Unsupported(
            f"Deployment {name} cannot run two versions at the same time: {problem}; use recreate",
            provider="kubernetes",
        )
