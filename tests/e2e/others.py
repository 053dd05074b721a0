"""Who else writes in a cluster while a release goes on: controllers and people, without a pause."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from kubernetes.client import ApiException

from tests.cluster import Namespace
from tests.e2e.site import Site

Edit = Callable[[int], dict[str, Any]]
SHOP = "apps/v1/deployments/shop"
CANARY = "apps/v1/deployments/shop-canary"
ROUTE = "gateway.networking.k8s.io/v1/httproutes/shop"
SERVICE = "v1/services/shop"


def _notes(number: int) -> dict[str, Any]:
    return {"labels": {"team": f"t{number % 7}"}, "annotations": {"others.example.com/seen": str(number)}}


def _deployment(number: int) -> dict[str, Any]:
    spec = {"revisionHistoryLimit": 5 + number % 5, "progressDeadlineSeconds": 600 + number % 50}
    return {"metadata": _notes(number), "spec": spec}


def _route(number: int) -> dict[str, Any]:
    return {"metadata": _notes(number)}


EDITS: dict[str, Edit] = {SHOP: _deployment, CANARY: _deployment, ROUTE: _route, SERVICE: _route}
"""By object, what is no release's own."""


class Busybody:
    """Edits objects as fast as the API server lets it; what is not there, or was changed meanwhile, is left alone."""

    def __init__(self, namespace: Namespace, edits: dict[str, Edit]) -> None:
        self._namespace = namespace
        self._edits = edits
        self.done: Counter[str] = Counter()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Edits until the end of the block."""
        async with beside(self._work()):
            yield

    async def _work(self) -> None:
        for number in itertools.count():
            for path, edit in self._edits.items():
                await asyncio.to_thread(self._edit, path, edit(number))

    def _edit(self, path: str, change: dict[str, Any]) -> None:
        try:
            self._namespace.merge(path, change)
        except ApiException as error:
            if error.status not in (404, 409):
                raise
        else:
            self.done[path] += 1


@asynccontextmanager
async def a_restless_autoscaler(site: Site, *sizes: int) -> AsyncIterator[None]:
    """Scales the shop again and again, within the bounds of its HPA as they are at that moment."""

    async def scale() -> None:
        for size in itertools.cycle(sizes):
            bounds = await asyncio.to_thread(site.autoscaler)
            await site.resize(min(max(size, bounds["minReplicas"]), bounds["maxReplicas"]))
            await asyncio.sleep(1)

    async with beside(scale()):
        yield


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work without an end goes on until the end of the block; if it fails, so does the block."""
    task = asyncio.create_task(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
