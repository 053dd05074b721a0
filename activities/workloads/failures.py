"""What is kept of a version that failed: its pods, their events and what their containers wrote, as one text.

In a Secret beside the Deployment, because logs may hold what not everybody should read. No fence guards it: each run
has an entry of its own there, and nothing that a release does depends on one.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.boundary import without_secrets
from activities.clusters.caller import caller
from activities.clusters.kubernetes.api import AlreadyThere, Api, Object
from activities.clusters.kubernetes.kinds import EVENT, SECRET
from activities.clusters.kubernetes.labels import MANAGED, TARGET, target_label
from activities.clusters.kubernetes.patch import drop, put
from activities.clusters.kubernetes.pods import is_ready
from activities.workloads.sights import Sight, look, resource
from workflows.contracts.workloads import Gathered, GatherRequest
from workflows.errors import ProviderError
from workflows.model.target import SLOTS

PODS = 5
"""Pods that are told of, those that are not ready first."""
LINES = 200
"""Lines of each container that are kept, the last ones."""
LOG_LIMIT = 64 * 1024
"""Characters of each container that are kept, the last ones."""
TEXT_LIMIT = 600_000
"""Characters of one text."""
KEPT = 10
AGE = timedelta(days=30)
SECRET_LIMIT = 900_000
"""Bytes of all texts of a Deployment together; a Secret takes 1 MiB."""

_TYPE = "headgate.dev/failures"
_TIME = "%Y%m%dT%H%M%SZ"
_STATE = ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses")

Log = tuple[str, str]
"""Whose words they are, and the words."""


@dataclass(frozen=True)
class Failure:
    """One failed release of a Deployment."""

    api: Api
    request: GatherRequest

    @property
    def name(self) -> str:
        """The Secret that holds what is kept of the Deployment's failures."""
        return f"headgate-failures-{resource(self.api, self.request.target, 'stable').name}"

    async def keep(self) -> Gathered:
        """Gathers what there is and keeps it; again for the same run, it replaces what that one kept."""
        text = await self._text()
        key = await self._put(gzip.compress(text.encode(), mtime=0))
        path = f"jsonpath='{{.data.{key.replace('.', chr(92) + '.')}}}'"
        namespace = self.request.target.namespace
        command = f"kubectl --namespace {namespace} get secret {self.name} --output {path}"
        return Gathered(command=f"{command} | base64 --decode | gunzip")

    async def _text(self) -> str:
        sights = await asyncio.gather(*(look(self.api, self.request.target, slot) for slot in SLOTS))
        pods = [pod for sight in sights for pod in _of_version(sight, self.request.template.digest)]
        pods = sorted(pods, key=lambda pod: (is_ready(pod), -_restarts(pod)))[:PODS]
        owners = [found for sight in sights for found in (sight.workload, *sight.revisions) if found]
        events, logs = await asyncio.gather(self._events([*owners, *pods]), self._logs(pods))
        return without_secrets("\n".join(_written(self.request, pods, events, logs)))[:TEXT_LIMIT]

    async def _events(self, objects: Sequence[Object]) -> list[Object]:
        found = await asyncio.gather(*map(self._events_of, objects))
        return sorted((event for some in found for event in some), key=_when)

    async def _events_of(self, found: Object) -> list[Object]:
        fields = f"involvedObject.uid={found['metadata']['uid']}"
        try:
            return await self.api.search(EVENT, found["metadata"]["namespace"], fields=fields)
        except ProviderError:  # What can be had counts.
            return []

    async def _logs(self, pods: Sequence[Object]) -> list[Log]:
        wanted = [
            (pod, container["name"], previous)
            for pod in pods
            for container in _containers(pod)
            for previous in ((True, False) if container.get("restartCount") else (False,))
        ]
        return list(await asyncio.gather(*(self._log(*one) for one in wanted)))

    async def _log(self, pod: Object, container: str, previous: bool) -> Log:  # noqa: FBT001 - mapped over
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        whose = f"{name}/{container}" + (" before its last restart" if previous else "")
        try:
            words = await self.api.log(namespace, name, container, previous=previous, lines=LINES)
        except ProviderError as error:
            words = f"(not to be had: {error})"
        return whose, words[-LOG_LIMIT:]

    async def _put(self, content: bytes) -> str:
        namespace, run = self.request.target.namespace, caller().run_id.replace("-", "")[:12]
        now = datetime.now(UTC)
        while True:
            found = await self.api.find(SECRET, namespace, self.name)
            there: Mapping[str, str] = (found or {}).get("data") or {}
            key = next((key for key in there if key.endswith(f".{run}")), f"{now.strftime(_TIME)}.{run}")
            entry = base64.b64encode(content).decode()
            if found is None:
                labels = MANAGED | {TARGET: target_label(self.request.target.key)}
                body = {"metadata": {"name": self.name, "labels": labels}, "type": _TYPE, "data": {key: entry}}
                try:
                    await self.api.create(SECRET, namespace, body)
                except AlreadyThere:  # Another run of this target made it.
                    continue
                return key
            leaving = [drop(("data", old)) for old in _leaving(there, key, len(content), now)]
            data = [put(("data", key), entry)] if there else [put(("data",), {key: entry})]
            await self.api.patch(SECRET, namespace, self.name, [*leaving, *data])
            return key


def _leaving(there: Mapping[str, str], key: str, size: int, now: datetime) -> list[str]:
    """The entries that are too old, too many or too much; their names begin with their time."""
    leaving = []
    room = SECRET_LIMIT - size
    for kept, name in enumerate(sorted((name for name in there if name != key), reverse=True), start=1):
        room -= len(there[name]) * 3 // 4
        if kept >= KEPT or room < 0 or name < (now - AGE).strftime(_TIME):
            leaving.append(name)
    return leaving


def _of_version(sight: Sight, digest: str) -> list[Object]:
    templates, of_pod = sight.templates, sight.controller.of_pod
    return [pod for pod in sight.pods if (found := templates.get(of_pod(pod))) and found.digest == digest]


def _written(
    request: GatherRequest, pods: Sequence[Object], events: Sequence[Object], logs: Sequence[Log]
) -> Iterator[str]:
    release = request.release
    yield f"{release.name} {release.version} in {release.environment} failed: {request.reason}"
    yield request.message
    yield f"\n== Pods of {request.template.version} ({len(pods)})"
    for pod in pods:
        yield f"\n-- {pod['metadata']['name']} on {pod['spec'].get('nodeName') or 'no node'}"
        status = pod.get("status") or {}
        yield from (line for name in _STATE if name in status for line in _lines(name, status[name]))
    yield f"\n== Events ({len(events)})\n"
    yield from map(_event, events)
    for whose, words in logs:
        yield f"\n== Log of {whose}, its last {LINES} lines\n"
        yield words.rstrip()


def _lines(name: str, value: Any, depth: int = 0) -> Iterator[str]:
    """A value of JSON in lines that people can read."""
    space = "  " * depth
    if isinstance(value, dict) and value:
        yield f"{space}{name}:"
        for key, item in value.items():
            yield from _lines(key, item, depth + 1)
    elif isinstance(value, list) and value:
        yield f"{space}{name}:"
        for index, item in enumerate(value):
            yield from _lines(f"[{index}]", item, depth + 1)
    else:
        yield f"{space}{name}: {value}"


def _event(event: Object) -> str:
    about, count = event["involvedObject"], event.get("count") or 1
    times = f" ({count} times)" if count > 1 else ""
    return f"{_when(event)} {about['kind']} {about['name']} {event.get('reason')}: {event.get('message')}{times}"


def _when(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))


def _containers(pod: Object) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return [
        container
        for container in statuses
        if "waiting" not in (container.get("state") or {}) or _restarts_of(container)
    ]


def _restarts(pod: Object) -> int:
    return sum(map(_restarts_of, (pod.get("status") or {}).get("containerStatuses") or []))


def _restarts_of(container: Mapping[str, Any]) -> int:
    return int(container.get("restartCount") or 0)
