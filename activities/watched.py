"""The instances of slots that are asked for at every tick: read once, and again when something moved.

A hundred observations would otherwise list the same pods every few seconds, and leave an API server's limit to nobody
else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from activities.endpoints import Endpoints
from activities.foreign import Movement
from activities.registry import Registry
from activities.workloads.protocol import Endpoint, WorkloadProvider
from workflows.errors import ProviderError
from workflows.model.target import Slot, Target

LONGEST = 60.0
"""Seconds after which what is known is read again although nothing was heard: a connection can die without a word."""
IDLE = 60.0
"""Seconds after which a slot that nobody asks for is watched no more."""
_PAUSE = 2.0
"""Seconds until a watch that failed begins again."""


@runtime_checkable
class Moving(Protocol):
    """A workload provider that hears of its instances."""

    def moves(self, target: Target, slot: Slot) -> AbstractAsyncContextManager[Movement]:
        """Says once when it begins to hear, and then whenever the instances of a slot may be others."""
        ...


class WatchedEndpoints:
    """Remembers what the providers that can be heard answered; the others are asked each time."""

    def __init__(self, endpoints: Endpoints, providers: Registry[WorkloadProvider]) -> None:
        self._endpoints = endpoints
        self._providers = providers
        self._watches: dict[tuple[str, Slot], _Watch] = {}

    async def endpoints(self, target: Target, slot: Slot) -> Sequence[Endpoint]:
        provider = self._providers.get(str(target.workload.get("kind", "")))
        if not isinstance(provider, Moving):
            return await self._endpoints.endpoints(target, slot)
        self._watches = {key: watch for key, watch in self._watches.items() if not watch.is_over}
        key = (target.key, slot)
        if key in self._watches and self._watches[key].target != target:
            await self._watches.pop(key).close()
        if key not in self._watches:
            self._watches[key] = _Watch(self._endpoints, provider, target, slot)
        return await self._watches[key].endpoints()

    async def close(self) -> None:
        """Ends every watch; idempotent."""
        await asyncio.gather(*(watch.close() for watch in self._watches.values()))
        self._watches.clear()


class _Watch:
    """One slot, for as long as somebody asks for it."""

    def __init__(self, endpoints: Endpoints, provider: Moving, target: Target, slot: Slot) -> None:
        self.target = target
        self._endpoints = endpoints
        self._slot: Slot = slot
        self._is_heard = False
        self._moved = 0
        self._known: Sequence[Endpoint] = ()
        self._good_until = self._asked = time.monotonic()
        self._task = asyncio.create_task(self._follow(provider))

    @property
    def is_over(self) -> bool:
        return self._task.done()

    async def endpoints(self) -> Sequence[Endpoint]:
        self._asked = time.monotonic()
        if self._asked < self._good_until:
            return self._known
        moved = self._moved
        self._known = await self._endpoints.endpoints(self.target, self._slot)
        if self._is_heard and moved == self._moved:
            self._good_until = self._asked + LONGEST
        return self._known

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self, provider: Moving) -> None:
        while self._is_wanted:
            try:
                async with provider.moves(self.target, self._slot) as movement:
                    while self._is_wanted:
                        if await movement.next(IDLE):
                            self._forget(is_heard=True)
            except ProviderError:
                self._forget(is_heard=False)
                await asyncio.sleep(_PAUSE)

    @property
    def _is_wanted(self) -> bool:
        return time.monotonic() - self._asked < IDLE

    def _forget(self, *, is_heard: bool) -> None:
        self._is_heard = is_heard
        self._moved += 1
        self._good_until = self._asked
