"""A small GitOps controller: what Argo CD does about an Application, as far as a release can feel it.

It compares, notes the result in the Application's status, answers a request to refresh in the same write, and applies
what Git holds when automated sync is on: again and again (self-heal), with prune, honouring `ignoreDifferences`. Argo
CD itself needs a repository server and Redis, which the test bed does not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import APPLICATION, DEPLOYMENT, SERVICE, Kind
from activities.clusters.kubernetes.patch import Operation, drop, put, test
from activities.gitops.applications import TRACKING, Moved, automated, uncovered
from activities.gitops.argo_cd import REFRESH
from infra.testbed.api import Api as Writer
from workflows.errors import ProviderError

EVERY = 0.3
"""Seconds between two rounds."""
PRUNED = (DEPLOYMENT, SERVICE)


class StandIn:
    """One Application and the Git behind it."""

    def __init__(self, api: Api, writer: Writer, application: str, home: str, namespace: str) -> None:
        self.api = api
        self.writer = writer
        self.application = application
        self.home = home
        self.namespace = namespace
        self.git: dict[tuple[Kind, str], Object] = {}
        """Manifests, with the tracking annotation that Argo CD gives them."""
        self.revision = 1
        self.applied = 0
        """Objects that a sync changed."""
        self.pruned: list[str] = []

    def commit(self, kind: Kind, name: str, manifest: Object) -> None:
        """Git names this from now on."""
        group = kind.api_version.rpartition("/")[0]
        body = deepcopy(manifest)
        metadata = body.setdefault("metadata", {})
        metadata.setdefault("annotations", {})[TRACKING] = (
            f"{self.application}:{group}/{kind.name}:{self.namespace}/{name}"
        )
        metadata |= {"name": name, "namespace": self.namespace}
        self.git[kind, name] = {"apiVersion": kind.api_version, "kind": kind.name, **body}
        self.revision += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Rounds without end."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def round(self) -> None:
        """One comparison, and a sync where one is due."""
        application = await self.api.get(APPLICATION, self.home, self.application)
        ignoring = application
        states = {key: await self._is_synced(application, key) for key in self.git}
        if automated(application) is not None and not all(states.values()):
            for key, synced in states.items():
                if not synced:
                    await self._apply(ignoring, key)
        if (automated(application) or {}).get("prune"):
            await self._prune()
        await self._note(application, states)

    async def _run(self) -> None:
        while True:
            with suppress(ProviderError):
                await self.round()
            await asyncio.sleep(EVERY)

    async def _is_synced(self, application: Object, key: tuple[Kind, str]) -> bool:
        live = await self.api.find(key[0], self.namespace, key[1])
        return live is not None and _covers(live, self._desired(application, key, live))

    def _desired(self, application: Object, key: tuple[Kind, str], live: Object) -> Object:
        """What Git says, with the live values of what is ignored, whatever they have grown to."""
        desired = deepcopy(self.git[key])
        kind = key[0]
        moved = Moved(kind.api_version.rpartition("/")[0], kind.name, self.namespace, key[1], _fields(desired["spec"]))
        left = {field for each in uncovered(application, [moved]) for field in each.fields}
        taken: list[str] = []
        for field in moved.fields:
            if field not in left and not field.startswith(tuple(taken)):
                _set(desired, field, deepcopy(_get(live, field)))
                taken.append(f"{field}/")
        return desired

    async def _apply(self, application: Object, key: tuple[Kind, str]) -> None:
        live = await self.api.find(key[0], self.namespace, key[1])
        desired = self._desired(application, key, live) if live else deepcopy(self.git[key])
        await asyncio.to_thread(self.writer.apply_object, desired)
        self.applied += 1

    async def _prune(self) -> None:
        for kind in PRUNED:
            for found in await self.api.search(kind, self.namespace):
                metadata = found["metadata"]
                tracked = (metadata.get("annotations") or {}).get(TRACKING, "").partition(":")[0] == self.application
                labelled = (metadata.get("labels") or {}).get("app.kubernetes.io/instance") == self.application
                if (tracked or labelled) and (kind, metadata["name"]) not in self.git:
                    self.pruned.append(metadata["name"])
                    await self.api.delete(kind, self.namespace, metadata["name"], uid=metadata["uid"])

    async def _note(self, application: Object, states: dict[tuple[Kind, str], bool]) -> None:
        resources = [
            {
                "group": kind.api_version.rpartition("/")[0],
                "kind": kind.name,
                "namespace": self.namespace,
                "name": name,
                "status": "Synced" if synced else "OutOfSync",
                "version": kind.api_version.rpartition("/")[2],
            }
            for (kind, name), synced in states.items()
        ]
        verdict = "Synced" if all(states.values()) else "OutOfSync"
        destination = application["spec"]["destination"]
        compared = {"source": application["spec"]["source"], "destination": destination}
        sync = {"status": verdict, "revision": f"{self.revision:040d}", "comparedTo": compared}
        status = {
            "resources": resources,
            "sync": sync,
            "reconciledAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        operations: list[Operation] = [put(("status",), status)]
        if REFRESH in (application["metadata"].get("annotations") or {}):
            # Argo CD too answers what it has read: what was written since then asks again.
            path = ("metadata", "annotations", REFRESH)
            operations = [
                test(("metadata", "resourceVersion"), application["metadata"]["resourceVersion"]),
                drop(path),
                *operations,
            ]
        await self.api.patch(APPLICATION, self.home, self.application, operations)


def _covers(live: Any, desired: Any) -> bool:
    """Whether what Git says is there, whatever else is: defaults, fences, notes."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(_covers(live.get(key), value) for key, value in desired.items())
    if isinstance(desired, list):
        return (
            isinstance(live, list)
            and len(live) == len(desired)
            and all(_covers(one, other) for one, other in zip(live, desired, strict=True))
        )
    return bool(live == desired)


def _fields(value: Any, path: str = "/spec") -> tuple[str, ...]:
    """The pointers of everything, the outer before the inner."""
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(key.replace("/", "~1"), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(str(index), item) for index, item in enumerate(value)]
    return (path, *(field for key, item in items for field in _fields(item, f"{path}/{key}")))


def _steps(path: str) -> list[str]:
    return [part.replace("~1", "/") for part in path.split("/")[1:]]


def _get(found: Any, path: str) -> Any:
    for part in _steps(path):
        if isinstance(found, list):
            found = found[int(part)] if int(part) < len(found) else None
        else:
            found = (found or {}).get(part)
    return found


def _set(found: Any, path: str, value: Any) -> None:
    *way, last = _steps(path)
    for part in way:
        found = found[int(part)] if isinstance(found, list) else found[part]
    if isinstance(found, list):
        found[int(last)] = value
    elif value is None:
        found.pop(last, None)
    else:
        found[last] = value
