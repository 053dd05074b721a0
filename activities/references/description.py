"""What a cluster has around a workload: enough to write the first document of its releases.

What may not be looked at is said to be unseen and never taken for absent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.copies import pod_labels, refuse_unsuited
from activities.clusters.kubernetes.kinds import HORIZONTAL_POD_AUTOSCALER, SERVICE
from activities.clusters.kubernetes.labels import matches
from activities.clusters.kubernetes.resources import Resource
from activities.clusters.kubernetes.volumes import claims_of
from activities.registry import Registry
from activities.traffic.protocol import TrafficRouter
from activities.workloads.controllers import CONTROLLERS, Controller
from workflows.contracts.references import ContainerSeen, Described, DescribeRequest
from workflows.errors import Denied, NotFound, Unsupported

T = TypeVar("T")

_PROBES = ("readinessProbe", "startupProbe", "livenessProbe")


@runtime_checkable
class Finder(Protocol):
    """A router that can find the objects that lead to a Service."""

    async def leading_to(self, cluster: str, namespace: str, service: str) -> list[dict[str, Any]]:
        """What documents would say of them. Errors: NotFound where the cluster has no such kind; Denied."""
        ...


async def describe(api: Api, routers: Registry[TrafficRouter], request: DescribeRequest) -> Described:
    """Everything around a workload. Errors: NotFound, Denied for the workload itself."""
    controller = CONTROLLERS[request.sort]
    found = await Resource(api, controller.kind, request.namespace, request.deployment).get()
    seen, pod = _Seen(), found["spec"]["template"]["spec"]
    services = [
        service["metadata"]["name"]
        for service in await seen.of("Services", api.search(SERVICE, request.namespace))
        if _leads_to(service, found)
    ]
    finders = [(kind, router) for kind in routers.kinds if isinstance(router := routers.get(kind), Finder)]
    routes = [
        route
        for service in services
        for kind, finder in finders
        for route in await seen.of(f"objects of {kind}", finder.leading_to(request.cluster, request.namespace, service))
    ]
    scalers = await seen.of("autoscalers", api.search(HORIZONTAL_POD_AUTOSCALER, request.namespace))
    claims = await seen.of("volumes", claims_of(api, request.namespace, found["spec"]["template"]))
    return Described(
        containers=tuple(map(_container, pod["containers"])),
        replicas=controller.size(found),
        services=tuple(services),
        routes=tuple(routes),
        check_path=next(_paths(pod["containers"]), ""),
        autoscalers=tuple(scaler["metadata"]["name"] for scaler in scalers if _scales(scaler, found, controller)),
        alone=_alone(found, claims) if controller.has_canary else "",
        unseen=tuple(seen.missing),
    )


class _Seen:
    """Remembers what could not be looked at."""

    def __init__(self) -> None:
        self.missing: dict[str, None] = {}

    async def of(self, what: str, found: Awaitable[list[T]]) -> list[T]:
        """What was found; nothing where the cluster has no such kind, or where we may not look."""
        try:
            return await found
        except NotFound:
            return []
        except Denied:
            self.missing[what] = None
            return []


def _leads_to(service: Object, workload: Object) -> bool:
    selector = service["spec"].get("selector")
    return bool(selector) and matches({"matchLabels": selector}, pod_labels(workload))


def _scales(scaler: Object, workload: Object, controller: Controller) -> bool:
    target = scaler["spec"]["scaleTargetRef"]
    return bool((target["kind"], target["name"]) == (controller.kind.name, workload["metadata"]["name"]))


def _container(container: Object) -> ContainerSeen:
    ports = tuple(port["containerPort"] for port in container.get("ports") or ())
    return ContainerSeen(name=container["name"], image=container["image"], ports=ports)


def _paths(containers: Iterable[Object]) -> Iterator[str]:
    """Where probes ask, the one for readiness first."""
    probes = [container.get(name) or {} for name in _PROBES for container in containers]
    yield from (probe["httpGet"]["path"] for probe in probes if (probe.get("httpGet") or {}).get("path"))


def _alone(deployment: Object, claims: Iterable[Object]) -> str:
    try:
        refuse_unsuited(deployment, claims)
    except Unsupported as error:
        return str(error)
    return ""
