"""ConfigMaps and Secrets that pods refer to: whether they still are what they were when the release began.

A version must not be judged by a configuration that changed meanwhile. Only digests are kept, with a key of their own
in the record beside the workload, which who may not read Secrets cannot read: so neither Temporal's history nor a log
holds anything by which a short password could be guessed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.changes import Changes, Watched
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import CONFIG_MAP, SECRET, Kind
from activities.clusters.kubernetes.resources import Resource
from activities.workloads.protocol import Configuration, Record
from activities.workloads.secret import RecordSecret
from workflows.errors import ForeignChange
from workflows.model.target import Claim, Target

_KINDS = {kind.name: kind for kind in (CONFIG_MAP, SECRET)}
_CONTENT = ("data", "binaryData")


async def recorded(api: Api, namespace: str, pod: Object) -> Configuration:
    """What a pod template refers to, as it is now."""
    return await _digested(api, namespace, sorted(set(references(pod))), secrets.token_hex(16))


async def refuse_changed(api: Api, target: Target) -> None:
    """Errors: ForeignChange for the first object that is not what it was."""
    record = await _secret(api, target).read()
    before = record.configuration
    now = await _digested(api, target.namespace, list(before.digests), before.key)
    for name, digest in before.digests.items():
        if not hmac.compare_digest(now.digests[name], digest):
            kind, _, rest = name.partition("/")
            field = f"{kind} {target.namespace}/{rest}: its content"
            message = f"{field} is not what it was when the release began"
            raise ForeignChange(message, field=field, provider="kubernetes", operation="look")


@dataclass(frozen=True)
class SharedConfiguration:
    """The configuration of targets as something that others write too."""

    clusters: Clusters

    @asynccontextmanager
    async def changes(self, target: Target) -> AsyncIterator[Changes]:
        """Watches each object by its name, and no other of its namespace."""
        api = self.clusters.get(target.cluster)
        names = (await _secret(api, target).read()).configuration.digests
        places = [_resource(api, target.namespace, name) for name in names]
        async with Changes(api, *map(Watched.one, places)) as changes:
            yield changes

    async def look(self, target: Target) -> None:
        """Errors: ForeignChange."""
        await refuse_changed(self.clusters.get(target.cluster), target)

    async def put_back(self, target: Target, claim: Claim) -> None:
        """Takes what is there now for what it shall be: no content is kept that could be written again."""
        api = self.clusters.get(target.cluster)
        secret = _secret(api, target)
        before = (await secret.read()).configuration
        now = await _digested(api, target.namespace, list(before.digests), before.key)
        if now != before:
            await secret.write(target.key, claim, lambda found: _with(found, now))


def references(pod: Object) -> Iterator[str]:
    """`Kind/name` of every ConfigMap and Secret that a pod template names."""
    spec = pod["spec"]
    yield from (f"Secret/{secret['name']}" for secret in spec.get("imagePullSecrets") or ())
    for volume in spec.get("volumes") or ():
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            if found := source.get("configMap"):
                yield f"ConfigMap/{found['name']}"
            if found := source.get("secret"):
                yield f"Secret/{found.get('secretName') or found['name']}"
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        yield from _of_environment(container)


def _of_environment(container: dict[str, Any]) -> Iterator[str]:
    sources = [*(container.get("envFrom") or ()), *(env.get("valueFrom") or {} for env in container.get("env") or ())]
    for source in sources:
        for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            if found := source.get(f"{field}Ref") or source.get(f"{field}KeyRef"):
                yield f"{kind}/{found['name']}"


async def _digested(api: Api, namespace: str, names: list[str], key: str) -> Configuration:
    found = await asyncio.gather(*(_resource(api, namespace, name).find() for name in names))
    digests = {name: _digest(there, key) for name, there in zip(names, found, strict=True)}
    return Configuration(key=key, digests=digests)


def _digest(found: Object | None, key: str) -> str:
    content = [(found or {}).get(field) or {} for field in _CONTENT] if found else None
    return hmac.new(key.encode(), json.dumps(content, sort_keys=True).encode(), hashlib.sha256).hexdigest()[:32]


def _with(record: Record, configuration: Configuration) -> Record:
    return record.model_copy(update={"configuration": configuration})


def _resource(api: Api, namespace: str, name: str) -> Resource:
    kind, _, rest = name.partition("/")
    found: Kind = _KINDS[kind]
    return Resource(api, found, namespace, rest)


def _secret(api: Api, target: Target) -> RecordSecret:
    return RecordSecret.beside(api, target)
