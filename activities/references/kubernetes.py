"""What components in a Kubernetes cluster refer to: objects, containers, images, rights, and room for their peak."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from activities import beats
from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import LIMIT_RANGE, POD, RESOURCE_QUOTA, SECRET, SERVICE
from activities.clusters.kubernetes.labels import selector_text
from activities.clusters.kubernetes.resources import Resource
from activities.clusters.kubernetes.templates import Notes, wanted_pod
from activities.references import quota
from activities.references.description import describe
from activities.references.images import Credential, credentials, parsed, pinned
from activities.references.protocol import Checked, Look, merged
from activities.references.registries import Answer, Registries
from activities.references.rights import APPLICATIONS, NAMESPACE, Right, copied, may_read_namespace, missing, rights
from activities.references.selectors import beside
from activities.references.survey import survey
from activities.registry import Registry
from activities.traffic.protocol import TrafficRouter
from workflows.contracts.references import ClusterSeen, Described, DescribeRequest, ReferenceProblem
from workflows.errors import Denied, PermanentError, Rejected, Unsupported
from workflows.model.plan import Deploy
from workflows.model.target import Target, Template
from workflows.planning.templates import runnable

_CAPITALS = re.compile(r"^[A-Z]+(?=[A-Z][a-z])|^[A-Z]")
_BESIDE = ("canary", "blueGreen", "recreate")
"""Strategies that make objects of ours; with recreate the Service for maintenance."""
_COPYING = ("canary", "blueGreen")
"""Strategies that make a second Deployment."""


class KubernetesReferences:
    """Checks the clusters of the worker's settings."""

    def __init__(self, clusters: Clusters, registries: Registries) -> None:
        self._clusters = clusters
        self._registries = registries

    async def check(self, looks: Sequence[Look]) -> Checked:
        ordered = sorted(looks, key=_place)
        places = [(self._clusters.get(key[0]), key[1], list(group)) for key, group in groupby(ordered, _place)]
        found = await asyncio.gather(*(self._place(*place) for place in places))
        return merged(found)

    async def survey(self) -> list[ClusterSeen]:
        return await survey(self._clusters)

    async def describe(self, request: DescribeRequest, routers: Registry[TrafficRouter]) -> Described:
        return await describe(self._clusters.get(request.cluster), routers, request)

    async def _place(self, api: Api, namespace: str, looks: list[Look]) -> Checked:
        """One namespace. Where a right is missing, what needs it is not asked."""
        problems = [problem async for problem in _namespace(api, namespace, looks)]
        if problems:
            return Checked(tuple(problems))
        lacking = Checked(tuple([problem async for problem in _rights(api, namespace, looks)]))
        parts = await asyncio.gather(*(_Component(api, look, self._registries).check() for look in looks))
        room = Checked(tuple([problem async for problem in _room(api, namespace, looks)]))
        return merged([lacking, *parts, room])


class _Component(NamedTuple):
    """One component on its cluster."""

    api: Api
    look: Look
    registries: Registries

    async def check(self) -> Checked:
        problems = await self._objects()
        try:
            found = await _workload(self.look).find()
        except Denied:
            return Checked(tuple(problems))
        if found is None:
            return Checked(tuple(problems))
        problems += self._containers(found["spec"]["template"])
        told, notes = await self._beside(found)
        asked, template = await self._images(found)
        name = self.look.component.name
        return Checked((*problems, *told, *asked), {name: template}, {name: notes})

    async def _objects(self) -> list[ReferenceProblem]:
        """What the document names and the cluster does not have."""
        problems = []
        for field, item in named(self.look, self.api):
            try:
                if await item.find() is None:
                    message = f"{item.label} does not exist in cluster {self.api.alias}; create it, or correct the name"
                    problems.append(self.look.problem(field, message))
            except Denied:
                continue  # Told with the rights.
        return problems

    def _containers(self, pod: Object) -> list[ReferenceProblem]:
        problems = []
        for container, image in _images(self.look).items():
            one = Template(version="", digest="", body={"images": {container: image}})
            try:
                wanted_pod(one, pod, Notes(), name=_workload(self.look).name)
            except Rejected as error:
                problems.append(self.look.problem(_field(container), str(error)))
        return problems

    async def _beside(self, found: Object) -> tuple[list[ReferenceProblem], tuple[str, ...]]:
        """What a copy beside the workload meets, where the plan makes one."""
        if not _is_beside(self.look):
            return [], ()
        try:
            notes, warnings = await beside(self.api, self.look.target, found)
        except Denied:
            return [], ()  # Told with the rights.
        except Unsupported as error:
            return [self.look.problem("strategy", str(error))], ()
        return [self.look.problem("strategy", warning, is_certain=False) for warning in warnings], notes

    async def _images(self, found: Object) -> tuple[list[ReferenceProblem], Template]:
        """What registries say, and the template with the digests that they gave."""
        images, template = _images(self.look), self.look.component.template
        if not (images and self.registries.settings.check):
            return [], template
        held = await self._pull_secrets(found)
        asking = asyncio.gather(*(self.registries.ask(parsed(image), held) for image in images.values()))
        answers = await beats.during(asking)
        told = dict(zip(images, answers, strict=True))
        problems = [
            self.look.problem(_field(container), _sentence(images[container], answer), is_certain=_is_certain(answer))
            for container, answer in told.items()
            if answer.state != "there"
        ]
        if self.registries.settings.pin:
            digests = {container: answer.digest for container, answer in told.items() if answer.digest}
            images |= {container: pinned(images[container], digest) for container, digest in digests.items()}
        return problems, runnable(template.version, {**template.body, "images": images})

    async def _pull_secrets(self, found: Object) -> list[Credential]:
        """Those of the pod template, and of the service account as its pods show them."""
        namespace = self.look.target.namespace
        pods: list[Object] = []
        if selector := found["spec"].get("selector"):
            pods = await self.api.search(POD, namespace, labels=selector_text(selector))
        specs = [found["spec"]["template"]["spec"], *(pod["spec"] for pod in pods[:1])]
        names = dict.fromkeys(secret["name"] for spec in specs for secret in spec.get("imagePullSecrets") or ())
        secrets = await asyncio.gather(*(self.api.find(SECRET, namespace, name) for name in names))
        return credentials(secret for secret in secrets if secret)


def named(look: Look, api: Api) -> list[tuple[str, Resource]]:
    """The user's own objects that a component names, each with its field."""
    target = look.target
    places: list[tuple[str, dict[str, Any]]] = [("workload", target.workload), ("traffic", target.traffic)]
    mine = dict.fromkeys(item for item in look.objects if isinstance(item, Resource))
    if target.is_routed and (service := target.traffic.get("service")):
        mine[Resource(api, SERVICE, target.namespace, str(service))] = None
    return [
        (f"{place}.{field}", item)
        for item in mine
        for place, written in places
        if written.get(field := _CAPITALS.sub(lambda found: found[0].lower(), item.kind.name)) == item.name
    ]


async def _namespace(api: Api, namespace: str, looks: Iterable[Look]) -> AsyncIterator[ReferenceProblem]:
    """Only who may read namespaces can tell that one is not there."""
    if await may_read_namespace(api, namespace) and not await api.find(NAMESPACE, "", namespace):
        for look in looks:
            message = f"cluster {api.alias} has no namespace {namespace}; create it, or name another that policy allows"
            yield look.problem("workload.namespace", message)


async def _rights(api: Api, namespace: str, looks: Iterable[Look]) -> AsyncIterator[ReferenceProblem]:
    asked = [(look, await needed(look, api)) for look in looks]
    lacking = await missing(api, namespace, set().union(*(some for _, some in asked)))
    for look, some in asked:
        if mine := [right for right in lacking if right in some]:
            yield _denied(look, mine, namespace, "each of inCluster.namespaces")
    if api.argo_cd.namespace and (lacking := await missing(api, api.argo_cd.namespace, APPLICATIONS)):
        for look, _ in asked:
            yield _denied(look, lacking, api.argo_cd.namespace, "inCluster.argoCd.namespace")


def _denied(look: Look, lacking: Iterable[Right], namespace: str, value: str) -> ReferenceProblem:
    return look.problem(
        "workload.cluster",
        f"the worker may not {', '.join(map(str, lacking))} in namespace {namespace} of cluster {look.target.cluster}; "
        f"give its account these rights, as the Helm chart does for {value}",
    )


async def needed(look: Look, api: Api) -> set[Right]:
    """Every right that a release of a component may take, in a cluster that has what this one has."""
    objects = [item for item in look.objects if isinstance(item, Resource)]
    theirs = [item for _, item in named(look, api)]
    strategy, router = look.component.component["strategy"]["kind"], str(look.target.traffic.get("kind", "none"))
    more = copied(await api.served()) if strategy in _COPYING else set()
    return rights(objects, theirs, router=router, is_beside=strategy in _BESIDE) | more


async def _room(api: Api, namespace: str, looks: Sequence[Look]) -> AsyncIterator[ReferenceProblem]:
    """The peaks of all components together, since each keeps both versions until the whole release ends."""
    planned = [look for look in looks if look.plan]
    try:
        quotas = await api.search(RESOURCE_QUOTA, namespace)
        ranges = await api.search(LIMIT_RANGE, namespace)
        pods = [(look, (await _workload(look).get())["spec"]["template"]["spec"]) for look in planned]
    except PermanentError:
        return  # Told with the rights and the objects.
    for look, spec in pods:
        for sentence in quota.beyond_limits(ranges, spec):
            yield look.problem("workload", f"{sentence}; new pods would be refused")
    costs = [await _cost(look, spec, quotas, ranges) for look, spec in pods]
    for limit in quotas:
        counted = [(look, cost) for (look, spec), cost in zip(pods, costs, strict=True) if quota.counts(limit, spec)]
        for sentence in quota.shortages(limit, [cost for _, cost in counted]):
            told = f"{sentence}; raise it, release fewer components at once, or use rolling"
            yield counted[0][0].problem("capacity", told)


async def _cost(look: Look, spec: Object, quotas: Iterable[Object], ranges: Iterable[Object]) -> quota.Amounts:
    cost = quota.times(quota.pod_cost(spec, ranges), _more(look))
    if not any(quotas):
        return cost
    ours = [item for item in look.objects if isinstance(item, Resource)] if _is_beside(look) else []
    there = await asyncio.gather(*(item.find() for item in ours))
    return quota.added(
        [cost, quota.object_cost(item.kind for item, found in zip(ours, there, strict=True) if not found)]
    )


def _more(look: Look) -> int:
    """Pods at the peak beyond those that are wanted now."""
    if look.plan is None:
        return 0
    return max(0, look.plan.peak_replicas - sum(slot.replicas for slot in look.plan.baseline.slots.values()))


def _is_beside(look: Look) -> bool:
    return look.plan is not None and any(
        isinstance(step.action, Deploy) and step.action.slot == "canary" for step in look.plan.steps
    )


def _sentence(image: str, answer: Answer) -> str:
    name = parsed(image)
    match answer.state:
        case "missing":
            return f"{name.registry} has no image {image}; push it, or correct its name, tag or version"
        case "denied" if answer.is_signed_in:
            return f"{name.registry} {answer.message} for {image} with the pull secrets of the workload; renew them"
        case "denied":
            return (
                f"{name.registry} {answer.message} for {image} without a pull secret, so whether the nodes may pull it "
                "is not known; if they do not sign in by themselves, give the workload imagePullSecrets"
            )
        case _:
            return (
                f"{name.registry} {answer.message}, so whether {image} can be pulled is not known; let the workers "
                "reach it, or set registries.check to false in their settings"
            )


def _is_certain(answer: Answer) -> bool:
    return answer.state == "missing" or (answer.state == "denied" and answer.is_signed_in)


def _workload(look: Look) -> Resource:
    """The first object of a write set is the user's own workload."""
    return next(item for item in look.objects if isinstance(item, Resource))


def _images(look: Look) -> dict[str, str]:
    return dict(look.component.template.body.get("images") or {})


def _field(container: str) -> str:
    return f"artifact.images.{container}" if container else "artifact.image"


def _place(look: Look) -> tuple[str, str]:
    target: Target = look.target
    return target.cluster, target.namespace
