"""The Services behind a component's backends: what we copy for the canary, and who is ready behind each.

Maintenance is a Service without a selector: without an endpoint a data plane answers 503 by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import DEPLOYMENT, ENDPOINT_SLICE, SERVICE
from activities.clusters.kubernetes.labels import canary_labels, canary_name
from activities.clusters.kubernetes.pods import addresses
from workflows.errors import NotReady, Rejected
from workflows.model.target import Backend, Target

_PORT = ("name", "port", "protocol", "targetPort", "appProtocol")
_ANNOTATIONS = ("projectcontour.io/", "traefik.ingress.kubernetes.io/service.")
"""Prefixes of what a data plane must know of a Service to speak to its pods, such as their protocol."""


def services(target: Target) -> dict[Backend, str]:
    """The Service of each backend."""
    name = str(target.traffic.get("service", ""))
    return {"stable": name, "canary": canary_name(name), "maintenance": f"{name}-maintenance"}


async def canary_service(api: Api, target: Target) -> Object:
    """The canary's Service as it should be. Errors: NotReady before the canary is there; Rejected, NotFound."""
    deployment = canary_name(str(target.workload.get("deployment", "")))
    owner = await api.find(DEPLOYMENT, target.namespace, deployment)
    if owner is None:
        raise NotReady(
            f"Deployment {target.namespace}/{deployment} is not there yet, so no Service can lead to it",
            provider="kubernetes",
            retry_after=0.5,
        )
    stable = await _stable(api, target)
    selector = stable["spec"].get("selector") or {}
    labels = owner["spec"]["template"]["metadata"].get("labels") or {}
    if selector.items() <= labels.items():
        raise Rejected(
            f"Service {target.namespace}/{stable['metadata']['name']} selects the pods of Deployment {deployment} too, "
            "so weights between them would not hold; the canary's pods need another label",
            provider="kubernetes",
        )
    owners = [{"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name, "name": deployment}]
    owners[0]["uid"] = owner["metadata"]["uid"]
    ours = canary_labels(target.key)
    return _copy(stable, {"selector": ours}, labels=ours, ownerReferences=owners)


async def maintenance_service(api: Api, target: Target) -> Object:
    """A Service that leads nowhere. Errors: Rejected, NotFound."""
    return _copy(await _stable(api, target), {})


async def ready_addresses(api: Api, namespace: str, service: str) -> set[str]:
    """Where a Service sends requests now."""
    slices = await api.search(ENDPOINT_SLICE, namespace, labels={"kubernetes.io/service-name": service})
    return {
        address
        for piece in slices
        for endpoint in piece.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint["addresses"]
    }


def lead_exactly_to(pods: Sequence[Object], *, endpoints: Collection[str]) -> bool:
    """Whether endpoints are those of all these pods and of nobody else; a Service may have one family of addresses."""
    own = [addresses(pod) for pod in pods]
    return all(not one.isdisjoint(endpoints) for one in own) and set().union(*own).issuperset(endpoints)


async def _stable(api: Api, target: Target) -> Object:
    name = services(target)["stable"]
    found = await api.get(SERVICE, target.namespace, name)
    if not found["spec"].get("ports") or not found["spec"].get("selector"):
        raise Rejected(
            f"Service {target.namespace}/{name} has no selector or no ports, so nothing beside it could take a share",
            provider="kubernetes",
        )
    return found


def _copy(stable: Object, spec: dict[str, Any], **metadata: Any) -> Object:
    """A Service for the same ports, by an allow-list: marks of whoever deployed the original must not come along."""
    ports = [{key: port[key] for key in _PORT if key in port} for port in stable["spec"]["ports"]]
    annotations = stable["metadata"].get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if key.startswith(_ANNOTATIONS)}
    headless = {"clusterIP": "None"} if stable["spec"].get("clusterIP") == "None" else {}
    return {
        "metadata": {"annotations": kept, **metadata},
        "spec": {"type": "ClusterIP", "ports": ports, **headless, **spec},
    }
