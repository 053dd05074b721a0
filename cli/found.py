"""The document that `headgate init KIND/NAME` writes from what a cluster has; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workflows.contracts.references import ContainerSeen, Described

SORTS = {"deployment": "deployment", "statefulset": "statefulSet", "daemonset": "daemonSet"}
"""From what people write before a name, the field of `workload`."""
_STRATEGIES = {
    "canary": """\
        kind: canary
        stages:  # percent of the users, and how long each is watched
          - {weight: 5, observe: 10m}
          - {weight: 25, observe: 15m}
          - {weight: 50, observe: 20m}
        watch: 30m  # after promotion; one write still undoes everything
""",
    "blueGreen": """\
        kind: blueGreen  # the new version is made ready in full, then all users switch at once
        watch: 30m  # one write switches them back
""",
    "rolling": """\
        kind: rolling
        maxSurge: 2
        maxUnavailable: 1
        watch: 10m
""",
    "in place": """\
        kind: rolling
        maxUnavailable: 1
        watch: 10m
""",
    "recreate": """\
        kind: recreate  # users get a maintenance answer meanwhile
        watch: 10m
""",
}
_ADVICE = """\
      # Elsewhere: recreate in development, rolling in staging and for what risks little, blueGreen for what risks much
      # and for legacy systems, canary for services that many requests reach.
"""
_ENVIRONMENTS = {"dev": "recreate", "test": "rolling", "stag": "rolling"}
"""What suits environments whose names begin so; production is what is left."""
_WEIGHTED = ("gatewayApi", "contour", "istio", "traefik")
_ANALYSIS = """\
      analysis:  # what rolls the release back by itself, counted by the pods' own /metrics
        metrics:
          - {name: errors, kind: ratio, source: app, rule: {rollback: 1%}}
          - {name: latency, kind: histogram, source: app, quantile: 95%, rule: {rollback: 500ms}}
"""


@dataclass(frozen=True)
class Place:
    """Where a workload is, and what its release is called."""

    cluster: str
    namespace: str
    name: str
    release: str
    environment: str
    sort: str = "deployment"
    """The field of `workload` that names it."""

    @property
    def kind(self) -> str:
        """What Kubernetes calls its sort."""
        return f"{self.sort[0].upper()}{self.sort[1:]}"

    @property
    def is_in_place(self) -> bool:
        """Whether no second version can stand beside the first."""
        return self.sort != "deployment"


def release(place: Place, found: Described) -> str:
    """A Release that is right as it stands; its comments say why it says what it says."""
    return "".join(_parts(place, found))


def notes(place: Place, found: Described) -> Iterator[str]:
    """What a person should know of it at once."""
    for route in () if place.is_in_place else found.routes[1:]:
        yield f"{_named(route)} leads to it too: users who come that way stay on the old version until promotion"
    if len(found.services) > 1:
        yield f"several Services select its pods: {', '.join(found.services)}"
    if not found.services and not place.is_in_place and "Services" not in found.unseen:
        yield "no Service selects its pods, so nothing brings users to it"
    for name in found.autoscalers:
        yield f"HorizontalPodAutoscaler {name} scales it"
    for what in found.unseen:
        yield f"the worker may not look at {what}, so whatever there is of them is missing here"


def _parts(place: Place, found: Described) -> Iterator[str]:
    main = _main(place, found)
    yield f"""\
# Written by headgate init from {place.kind} {place.namespace}/{place.name} in {place.cluster}, {_pods(found)}.
# Every field: headgate explain release. What is missing for it: headgate plan FILE --check
apiVersion: headgate.dev/v1
kind: Release
metadata:
  name: {place.release}
spec:
  environment: {place.environment}  # headgate start --environment wins
  version: {_version(main.image)}  # headgate start --version wins
  change:
    reason: say in one sentence what changes
  components:
    - name: {place.release}
      artifact:
"""
    yield from _artifact(main, found)
    yield f"""\
      workload:
        kind: kubernetes
        {place.sort}: {place.name}
        cluster: {place.cluster}  # these two can go where the policy's environment names only one place
        namespace: {place.namespace}
"""
    yield from _port(main, found)
    if not place.is_in_place:
        yield from _traffic(found)
    yield from _strategy(place, found)
    yield "      drain: 30s  # for open requests, before pods stop\n"
    yield _checks(found)
    yield _ANALYSIS


def _pods(found: Described) -> str:
    return ", ".join((f"{found.replicas} pods", *(f"scaled by {name}" for name in found.autoscalers)))


def _artifact(main: ContainerSeen, found: Described) -> Iterator[str]:
    if len(found.containers) == 1:
        yield f"        image: {_repository(main.image)}  # the version is its tag; {main.image} runs now\n"
        return
    yield "        images:  # by container; those that are not named stay as they are\n"
    for container in found.containers:
        sign = "" if container == main else "# "
        yield f"          {sign}{container.name}: {_repository(container.image)}  # {container.image} runs now\n"


def _port(main: ContainerSeen, found: Described) -> Iterator[str]:
    ports = [port for container in found.containers for port in container.ports]
    if not ports:
        yield "        port: 8080  # its containers declare none; write the one that checks and metrics ask\n"
    elif len(ports) > 1:
        yield f"        port: {(main.ports or ports)[0]}  # of {', '.join(map(str, ports))}\n"


def _traffic(found: Described) -> Iterator[str]:
    chosen = _chosen(found)
    yield f"      traffic: {_flow(chosen)}\n"
    for other in found.routes[1:]:
        yield f"        # {_flow(other)} leads to it too:\n"
        yield "        # users who come that way stay on the old version until promotion.\n"
    if chosen["kind"] == "ingress":
        yield "        # kind: nginx gives it a part of the users, where ingress-nginx serves this Ingress.\n"


def _strategy(place: Place, found: Described) -> Iterator[str]:
    kind, reason = _advised(place, found)
    yield f"      strategy:  # {reason}\n"
    yield _STRATEGIES[kind]
    if not place.is_in_place:
        yield _ADVICE


def _advised(place: Place, found: Described) -> tuple[str, str]:
    traffic = _chosen(found)["kind"]
    if place.is_in_place:
        return "in place", "its pods have names or nodes of their own, so they are replaced in place"
    if found.alone:
        return "recreate", found.alone.partition("; use ")[0]
    for beginning, kind in _ENVIRONMENTS.items():
        if place.environment.startswith(beginning):
            return kind, f"what suits {place.environment}"
    if traffic in _WEIGHTED:
        return "canary", f"{traffic} can give the new version a part of the users"
    if traffic != "none":
        return "blueGreen", f"{traffic} switches all users at once"
    return "rolling", "nothing stands before its pods that could send users elsewhere"


def _checks(found: Described) -> str:
    if found.check_path:
        return f"      checks: [{{kind: http, path: {found.check_path}, retries: 5, every: 10s}}]  # as its probe\n"
    return "      # checks: [{kind: http, path: /health, retries: 5, every: 10s}]  # it has no HTTP probe\n"


def _chosen(found: Described) -> dict[str, Any]:
    if found.routes:
        return found.routes[0]
    return {"kind": "service", "service": found.services[0]} if found.services else {"kind": "none"}


def _named(route: dict[str, Any]) -> str:
    return next((f"{key} {value}" for key, value in route.items() if key not in ("kind", "service")), _flow(route))


def _flow(fields: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


def _main(place: Place, found: Described) -> ContainerSeen:
    """The one that is called as its workload, or the first."""
    return next((one for one in found.containers if one.name == place.name), found.containers[0])


def _repository(image: str) -> str:
    head, slash, last = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _version(image: str) -> str:
    """The tag, quoted where YAML would take it for a number."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2] or "v1.0.0"
    return tag if tag[:1].isalpha() else f'"{tag}"'
