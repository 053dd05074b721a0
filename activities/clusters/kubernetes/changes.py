"""Waiting for a cluster to move, by watches and never by polling."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Self

from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.kinds import Kind
from activities.clusters.kubernetes.resources import Resource

_SECONDS = 240
"""One watch; then the next one begins, which also looks again at what a lost watch may have missed."""
_PAUSE = 0.5
"""Seconds before a watch that has ended begins again."""
_SETTLE = 0.1
"""Seconds in which changes that come together count as one."""


class Watched(NamedTuple):
    """Objects of one kind in one namespace."""

    kind: Kind
    namespace: str
    labels: str = ""
    fields: str = ""

    @classmethod
    def one(cls, place: Resource) -> Watched:
        """A single object, there or not."""
        return cls(place.kind, place.namespace, fields=f"metadata.name={place.name}")


class Changes:
    """Says when any of several kinds of objects changed, what and how often is left to a fresh look.

    It says so first when all of them are heard, so that the first look is due then and none before is needed::

        async with Changes(api, Watched(POD, "shop", labels="app=trip")) as changes:
            await changes.next(seconds=2)
            while not looks_good(await look()):
                await changes.next(seconds=2)
    """

    def __init__(self, api: Api, *watched: Watched) -> None:
        self._api = api
        self._watched = watched
        self._tasks: list[asyncio.Task[None]] = []
        self._heard: set[Watched] = set()
        self._moved = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._watch(watched)) for watched in self._watched]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def next(self, seconds: float) -> bool:
        """Whether something changed since the last call, after at most so many seconds. Errors: those of the API."""
        waiting = asyncio.create_task(self._moved.wait())
        try:
            await asyncio.wait([waiting, *self._tasks], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        for task in self._tasks:
            if task.done():
                task.result()
        if not self._moved.is_set():
            return False
        await asyncio.sleep(_SETTLE)
        self._moved.clear()
        return True

    async def _watch(self, watched: Watched) -> None:
        while True:
            labels, fields = watched.labels, watched.fields
            async for _ in self._api.watch(
                watched.kind, watched.namespace, labels=labels, fields=fields, seconds=_SECONDS
            ):
                self._heard.add(watched)
                if len(self._heard) == len(self._watched):
                    self._moved.set()
            await asyncio.sleep(_PAUSE)
