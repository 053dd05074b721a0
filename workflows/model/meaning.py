"""The second pass over a Release: what each field allows by itself but not together. Pure; no cluster is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from workflows.errors import Problem
from workflows.model.analysis import GaugeMetric, unsupported
from workflows.model.complaints import did_you_mean, listed
from workflows.model.release import (
    BlueGreen,
    Canary,
    Component,
    EnvoyTraffic,
    GatewayApiTraffic,
    IngressTraffic,
    IstioTraffic,
    NginxTraffic,
    NoTraffic,
    ProcessWorkload,
    ReleaseSpec,
    ReplicasTraffic,
    Rolling,
    ServiceTraffic,
)

_ZERO = timedelta(0)
_NGINX_VALUE = re.compile(r"^[-._~a-zA-Z0-9/: ]+\Z")
"""What ingress-nginx 1.12 and later let through in `canary-by-header-value`."""
_ROUTERS_OF = {
    "envoy": ("envoy",),
    "contour": ("contour", "gatewayApi"),
    "nginx": ("nginx",),
    "traefik": ("traefik",),
}
"""The kinds of traffic that sources of metrics count."""
_SORTS = {"deployment": "Deployment", "statefulSet": "StatefulSet", "daemonSet": "DaemonSet"}
"""What people call the workloads of a Kubernetes cluster."""
_WITHOUT_BODY = ("GET", "HEAD")
_SECRET = ("authorization", "cookie", "proxy-authorization", "x-api-key")
"""Headers whose values let somebody in."""


def release_problems(spec: ReleaseSpec) -> list[Problem]:
    """Everything that makes no sense together."""
    problems = [*_names(spec), *_dependencies(spec), *_shared_places(spec)]
    for i, component in enumerate(spec.components):
        at = f"spec.components[{i}]"
        found = (
            *_artifact(component, spec.version),
            *_in_place(component),
            *_strategy(component),
            *_traffic(component),
            *_judgement(component),
            *_checks(component),
            *_times(component),
        )
        problems += [Problem(f"{at}.{path}", message) for path, message in found]
    return problems


def _names(spec: ReleaseSpec) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for i, component in enumerate(spec.components):
        if component.name in first:
            where = f"spec.components[{first[component.name]}]"
            yield Problem(f"spec.components[{i}].name", f"{component.name} is the name of {where} already")
        first.setdefault(component.name, i)


def _dependencies(spec: ReleaseSpec) -> Iterator[Problem]:
    names = [component.name for component in spec.components]
    for i, component in enumerate(spec.components):
        for j, other in enumerate(component.depends_on):
            at = f"spec.components[{i}].dependsOn[{j}]"
            if other == component.name:
                yield Problem(at, f"{other} cannot depend on itself")
            elif other not in names:
                yield Problem(at, f"there is no component {other}{did_you_mean(other, names)} ({listed(names)})")
            elif other in component.depends_on[:j]:
                yield Problem(at, f"{other} is named twice")
    if cycle := _cycle({c.name: [d for d in c.depends_on if d in names and d != c.name] for c in spec.components}):
        where = names.index(cycle[0])
        yield Problem(f"spec.components[{where}].dependsOn", f"components wait for each other: {' -> '.join(cycle)}")


def _cycle(edges: dict[str, list[str]]) -> list[str]:
    """Names along a cycle, the first repeated at the end; empty when there is none."""
    left = dict(edges)
    while ready := [name for name, needs in left.items() if not any(need in left for need in needs)]:
        for name in ready:
            del left[name]
    if not left:
        return []
    walk = [next(iter(left))]
    while walk[-1] not in walk[:-1]:
        walk.append(next(need for need in left[walk[-1]] if need in left))
    return walk[walk.index(walk[-1]) :]


def _shared_places(spec: ReleaseSpec) -> Iterator[Problem]:
    workloads: dict[tuple[str | None, ...], str] = {}
    routes: dict[tuple[str | None, ...], str] = {}
    for i, component in enumerate(spec.components):
        work, at = component.workload, f"spec.components[{i}]"
        if other := _taken(workloads, (work.sort, work.cluster, work.namespace, work.name), component.name):
            yield Problem(f"{at}.workload.{work.sort}", f"{work.name} is the workload of component {other} already")
        if (route := _route(component)) and (other := _taken(routes, route, component.name)):
            yield Problem(f"{at}.traffic.{route[0]}", f"{route[-1]} is the {route[0]} of component {other} already")


def _route(component: Component) -> tuple[str | None, ...]:
    """What only one component may write to: the field that names it, where it is, and its name."""
    traffic, work = component.traffic, component.workload
    match traffic:
        case NoTraffic():
            return ()
        case EnvoyTraffic():
            return "route", work.cluster, traffic.route
        case _:
            return "service", work.cluster, work.namespace, traffic.service


def _taken(places: dict[tuple[str | None, ...], str], place: tuple[str | None, ...], name: str) -> str | None:
    other = places.get(place)
    places.setdefault(place, name)
    return other if other != name else None


Found = Iterable[tuple[str, str]]


def _artifact(component: Component, version: str) -> Found:
    artifact = component.artifact
    if isinstance(component.workload, ProcessWorkload):
        for name in ("image", "images"):
            if getattr(artifact, name):
                yield f"artifact.{name}", f"process workloads run a program of the worker's settings; leave {name} out"
        return
    kind = _SORTS[component.workload.sort]
    for name in ("program", "args", "env"):
        if getattr(artifact, name):
            yield f"artifact.{name}", f"is the {kind}'s own business, which runs images; leave {name} out"
    if artifact.image and artifact.images:
        yield "artifact.images", "image says it already; leave one of the two out"
    elif not (artifact.image or artifact.images):
        yield "artifact", f"a {kind} needs image, or images by container, to run"
    named = {"image": artifact.image} if artifact.image else {}
    for place, image in (named | {f"images.{name}": image for name, image in artifact.images.items()}).items():
        if "+" in tagged(image, version):
            yield f"artifact.{place}", f"version {version} cannot be an image's tag because of its +; write the tag"


def tagged(image: str, version: str) -> str:
    """An image at a version: the version is the tag of an image that names neither tag nor digest."""
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:{version}"


def _in_place(component: Component) -> Found:
    """What StatefulSets and DaemonSets cannot do: their pods have names or nodes of their own."""
    sort, strategy = component.workload.sort, component.strategy
    if sort == "daemonSet" and "replicas" in component.workload.model_fields_set:
        yield "workload.replicas", "a DaemonSet has a pod on every node that it is for; leave replicas out"
    if isinstance(strategy, Rolling) and "max_surge" in strategy.model_fields_set and strategy.max_surge:
        if sort == "statefulSet":
            yield "strategy.maxSurge", "a StatefulSet has no room above its number; leave maxSurge out"
        if sort == "daemonSet" and strategy.max_unavailable:
            yield "strategy.maxSurge", "a DaemonSet takes maxSurge or maxUnavailable, not both; leave one of them out"


def _strategy(component: Component) -> Found:
    strategy, sort = component.strategy, component.workload.sort
    if sort in ("statefulSet", "daemonSet") and not isinstance(strategy, Rolling):
        message = f"a {_SORTS[sort]} cannot be released with {strategy.kind}, only with rolling"
        yield "strategy.kind", f"{message}; use that, or run it as a Deployment"
        return
    beside = isinstance(strategy, Canary | BlueGreen)
    if beside and isinstance(component.traffic, NoTraffic):
        message = f"{strategy.kind} needs a router to send users to both versions, and traffic is none"
        yield "strategy.kind", f"{message}; use rolling, or give the component traffic"
    if isinstance(component.traffic, ReplicasTraffic) and isinstance(strategy, Canary) and strategy.entry == "soft":
        message = "without a router a weight is a number of pods, and 1, 2 and 5 % cannot be had by it"
        yield "strategy.entry", f"{message}; leave entry out, or use a router with weights"
    if isinstance(component.traffic, ServiceTraffic | IngressTraffic):
        what = "a Service" if isinstance(component.traffic, ServiceTraffic) else "an Ingress"
        message = f"{what} switches all users at once, and {strategy.kind} wants to send it a part of them"
        if isinstance(strategy, Canary):
            yield "strategy.kind", f"{message}; use blueGreen, or a router with weights"
        if isinstance(strategy, BlueGreen) and len(strategy.stages) > 1:
            yield "strategy.stages", f"{message}; leave stages out, or use a router with weights"
    if isinstance(component.traffic, ReplicasTraffic):
        yield from _by_replicas(component)
    if not beside and component.capacity != "proportional":
        yield "capacity", f"{strategy.kind} replaces instances in place and keeps their number; leave capacity out"


def _by_replicas(component: Component) -> Found:
    """Where the number of pods divides users, every pod of the new version has some."""
    strategy = component.strategy
    if isinstance(strategy, BlueGreen):
        message = "users divide by the number of pods, so a version that is ready in full has half of them already"
        yield "strategy.kind", f"{message}; use canary, rolling, or a router"
    if isinstance(strategy, Canary):
        if component.checks:
            message = "weight 0 is zero pods, so users reach the new version before any check could"
            yield "checks", f"{message}; leave checks out, or use a router"
        if component.capacity != "proportional":
            yield "capacity", "the number of pods is the weight here, so the stages decide it; leave capacity out"
        if strategy.stages[0].weight >= 100:
            message = "all users at once means replacing all pods, which is what rolling does"
            yield "strategy.stages[0].weight", f"{message}; begin below 100, or use rolling"
    if "drain" in component.model_fields_set:
        message = "a pod has users until it ends, so nothing is drained before; its preStop and grace period do that"
        yield "drain", f"{message}; leave drain out"


def _traffic(component: Component) -> Found:
    traffic, kind = component.traffic, component.strategy.kind
    if isinstance(traffic, NoTraffic):
        return
    yield from _reach(component)
    match traffic:
        case GatewayApiTraffic():
            yield from _gateway(traffic)
        case IngressTraffic():
            yield from _ingress(traffic, kind)
        case NginxTraffic():
            yield from _nginx(traffic, kind)
        case _:
            pass
    mirror = getattr(traffic, "mirror", None)
    for name, given in (("match", traffic.match), ("preview", traffic.preview), ("mirror", mirror)):
        if given and kind in ("rolling", "recreate"):
            message = f"{kind} has no second version beside the first to lead to; use canary or blueGreen"
            yield f"traffic.{name}", f"{message}, or leave {name} out"
    if isinstance(traffic, IstioTraffic) and traffic.subsets and not traffic.destination_rule:
        yield "traffic.subsets", "are those of a DestinationRule; name it in traffic.destinationRule"
    for i, match in enumerate(traffic.match):
        if match in traffic.match[:i]:
            yield f"traffic.match[{i}]", f"header {match.header} with this value is named twice"


def _gateway(traffic: GatewayApiTraffic) -> Found:
    """Exactly one route."""
    if traffic.http_route and traffic.grpc_route:
        message = "httpRoute names the route already; leave one of the two out, or write a component for each"
        yield "traffic.grpcRoute", message
    elif not (traffic.http_route or traffic.grpc_route):
        yield "traffic", "gatewayApi needs httpRoute, or grpcRoute, to know whose backends it weighs"


def _ingress(traffic: IngressTraffic, strategy: str) -> Found:
    """What is replaced in place is replaced for every path."""
    for name, given in (("host", traffic.host), ("path", traffic.path)):
        if given and strategy in ("rolling", "recreate"):
            yield f"traffic.{name}", f"{strategy} replaces what every path leads to; use blueGreen, or leave {name} out"


def _nginx(traffic: NginxTraffic, strategy: str) -> Found:
    if len(traffic.match) > 1:
        message = "ingress-nginx matches one value of one header; keep one entry, or use a router such as gatewayApi"
        yield "traffic.match[1]", message
    for i, match in enumerate(traffic.match):
        if not _NGINX_VALUE.match(match.exact):
            message = f"ingress-nginx takes no header value such as {match.exact!r}"
            yield f"traffic.match[{i}].exact", f"{message}; use letters, digits, spaces and - . _ ~ / : alone"
    if strategy == "recreate":
        message = "a canary Ingress of ingress-nginx cannot lead users to the maintenance answer"
        yield "traffic.kind", f"{message}; use ingress, which switches the same Ingress"


def _reach(component: Component) -> Found:
    """A router leads to what its workload starts, and to nothing else."""
    traffic, workload = component.traffic.kind, component.workload.kind
    routes_to = "process" if traffic == "envoy" else "kubernetes"
    if workload != routes_to:
        yield "traffic.kind", f"{traffic} leads to workloads of kind {routes_to}, and this one is of kind {workload}"


def _judgement(component: Component) -> Found:
    if component.analysis is None:
        return
    for path, sentence in unsupported(component.analysis):
        yield f"analysis.{path}", sentence
    for i, metric in enumerate(component.analysis.metrics):
        at, needed = f"analysis.metrics[{i}].source", _ROUTERS_OF.get(metric.source or "", ())
        if needed and component.traffic.kind not in needed and not isinstance(metric, GaugeMetric):
            seen = f"{metric.source} reads the view of a router of kind {' or '.join(needed)}"
            yield at, f"{seen}, and this one is {component.traffic.kind}; use app, or series of its own"
        if metric.source in ("istio", "linkerd") and component.workload.kind != "kubernetes":
            message = f"{metric.source} tells Deployments apart, and this workload is of kind {component.workload.kind}"
            yield at, f"{message}; use app, or series of its own"


def _checks(component: Component) -> Found:
    for i, check in enumerate(component.checks):
        if check.body is not None and check.method in _WITHOUT_BODY:
            yield f"checks[{i}].body", f"is not sent with {check.method}; leave it out, or set method to POST"
        if check.contains and check.method == "HEAD":
            yield f"checks[{i}].contains", "is never found, since HEAD is answered without a body; use GET"
        for name in check.headers:
            if name.lower() in _SECRET:
                message = f"{name} carries a secret, which would stay in Temporal's history for ever"
                yield f"checks[{i}].headers", f"{message}; ask a path that needs none"


def _times(component: Component) -> Found:
    strategy = component.strategy
    lengths = {"readyWithin": component.ready_within, "strategy.timeout": getattr(strategy, "timeout", None)}
    for i, check in enumerate(component.checks):
        lengths[f"checks[{i}].timeout"] = check.timeout
    for path, length in lengths.items():
        if length is not None and length <= _ZERO:
            yield path, "must be longer than 0s, or nothing could ever be ready in time"
