"""What workers see of their clusters as a whole: whether they can release there, and what no release owns any more.

An object of ours belongs to the targets whose keys its label and its annotations name by their hash. It is left over
when none of them has a mark: every release marks its target before it makes anything, and unmarks it last of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import (
    DEPLOYMENT,
    DESTINATION_RULE,
    GRPC_ROUTE,
    HTTP_PROXY,
    HTTP_ROUTE,
    INGRESS,
    SECRET,
    SERVICE,
    TRAEFIK_SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)
from activities.clusters.kubernetes.labels import MANAGED, TARGET, canary_name, is_ours, target_label
from activities.clusters.kubernetes.resources import PREFIX as FENCE
from activities.clusters.kubernetes.resources import Resource
from activities.references.rights import APPLICATIONS, Right, copied, missing, rights
from activities.workloads.secret import records
from workflows.contracts.references import ClusterSeen, Leftover
from workflows.errors import Denied, NotFound, ProviderError

_KINDS = (
    SERVICE,
    HTTP_ROUTE,
    GRPC_ROUTE,
    HTTP_PROXY,
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    TRAEFIK_SERVICE,
    INGRESS,
)
_WRITTEN = ("traffic.headgate.dev/", "subsets.headgate.dev/")
"""Prefixes of what stands on the user's own objects while something of ours is in them."""
_BESIDE = "headgate-deployment-"
"""How the name of a record begins."""


async def survey(clusters: Clusters) -> list[ClusterSeen]:
    """Every cluster that this worker reaches itself, one that gives no answer included."""
    return list(await asyncio.gather(*map(_cluster, clusters)))


async def _cluster(api: Api) -> ClusterSeen:
    try:
        places = [await _place(api, namespace) for namespace in api.places]
        if api.argo_cd.namespace:
            places.append((await _lacking(api, api.argo_cd.namespace, APPLICATIONS), []))
    except ProviderError as error:
        return ClusterSeen(cluster=api.alias, message=str(error))
    lacking = tuple(sentence for sentence, _ in places if sentence)
    leftovers = tuple(found for _, some in places for found in some)
    return ClusterSeen(cluster=api.alias, is_reached=True, lacking=lacking, leftovers=leftovers)


async def _place(api: Api, namespace: str) -> tuple[str, list[Leftover]]:
    if lacking := await _lacking(api, namespace, _needed(api, namespace) | copied(await api.served())):
        return lacking, []
    return "", await _leftovers(api, namespace)


async def _lacking(api: Api, namespace: str, asked: Iterable[Right]) -> str:
    listed = ", ".join(map(str, await missing(api, namespace, asked)))
    # The place comes first, because a sentence is cut, and a namespace that is gone lacks every right.
    return listed and f"in {f'namespace {namespace}' if namespace else 'all namespaces'}: {listed}"


def _needed(api: Api, namespace: str) -> set[Right]:
    """What every release takes, whatever its router."""
    stable, canary = (Resource(api, DEPLOYMENT, namespace, name) for name in ("any", canary_name("any")))
    secret = Resource(api, SECRET, namespace, f"{_BESIDE}any")
    return rights((stable, secret, canary), (stable,), router="none", is_beside=True)


async def _leftovers(api: Api, namespace: str) -> list[Leftover]:
    there = [(kind, found) for kind in _KINDS for found in await _listed(api, kind, namespace)]
    there += [(DEPLOYMENT, found) async for found in _canaries(api, namespace)]
    # Marks come last: whatever is there was marked before, so a release that begins meanwhile leaves nothing over.
    marks = [record.mark for record in await records(api, namespace) if record.mark]
    marked = {target_label(mark.target.key) for mark in marks}
    return [leftover for kind, found in there for leftover in _told(kind, found, marked)]


async def _listed(api: Api, kind: Kind, namespace: str) -> list[Object]:
    try:
        return await api.search(kind, namespace)
    except (Denied, NotFound):  # Such a router is not used here.
        return []


async def _canaries(api: Api, namespace: str) -> AsyncIterator[Object]:
    """Beside each Deployment that was ever released: workers may not list Deployments."""
    for secret in await api.search(SECRET, namespace, labels=MANAGED):
        place, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
        if name.startswith(_BESIDE):
            found = await api.find(DEPLOYMENT, place, canary_name(name.removeprefix(_BESIDE)))
            if found:
                yield found


def _told(kind: Kind, found: Object, marked: set[str]) -> Iterator[Leftover]:
    """An object of ours, or what we wrote on one of the user's, where none of its targets has a mark."""
    metadata = found["metadata"]
    annotations = metadata.get("annotations") or {}
    label = f"{kind.name} {metadata['namespace']}/{metadata['name']}"
    name = f"{kind.plural} {metadata['name']} -n {metadata['namespace']}"
    if is_ours(found):
        fences = {key.removeprefix(FENCE) for key in annotations if key.startswith(FENCE)}
        if not {(metadata.get("labels") or {}).get(TARGET), *fences} & marked:
            ended = "was made for a release that has ended"
            yield Leftover(object=label, message=ended, fix=f"kubectl delete {name}")
        return
    for key in annotations:
        if key.startswith(_WRITTEN) and key.rpartition("/")[2] not in marked:
            still = "may still be as a release that has ended wrote it; compare it with what it should be"
            yield Leftover(object=label, message=still, fix=f"kubectl annotate {name} {key}-")
