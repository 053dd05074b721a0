"""What others change of what a release wrote: how it is noticed while the release observes, and how it is put back.

By watches and never by polling: a release that is left alone costs a cluster nothing but their renewal. The next
segment of an observation goes on with those of the one before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from temporalio import activity

from activities.registry import Registry
from activities.traffic.protocol import TrafficRouter
from activities.workloads.protocol import WorkloadProvider
from workflows.errors import ForeignChange, ProviderError
from workflows.model.target import Claim, Target

logger = logging.getLogger(__name__)

_LONGEST = 600.0
"""Seconds after which a look is taken even where nothing is said to have changed."""
_PAUSE = 5.0
"""Seconds before an API server that did not answer is asked again."""
IDLE = 10.0
"""Seconds after which objects are watched no more that no observation asks for."""


class Movement(Protocol):
    """Says that something changed."""

    async def next(self, seconds: float) -> bool:
        """Whether something changed since the last call, after at most so many seconds."""
        ...


@runtime_checkable
class Shared(Protocol):
    """A provider whose objects others can write to as well."""

    def changes(self, target: Target) -> AbstractAsyncContextManager[Movement]:
        """Hears, from its beginning on, that an object of the target may have changed."""
        ...

    async def look(self, target: Target) -> None:
        """Compares what a release wrote with what is there; changes nothing. Errors: ForeignChange."""
        ...

    async def put_back(self, target: Target, claim: Claim) -> None:
        """Writes what the release wrote last over what somebody else made of it. Errors: Fenced, Rejected, NotReady."""
        ...


@runtime_checkable
class Several(Protocol):
    """A provider that shares more than one sort of objects, each watched for itself."""

    shared: Sequence[Shared]


class Lookout:
    """Looks at the objects of targets for whoever observes them."""

    def __init__(self, workloads: Registry[WorkloadProvider], routers: Registry[TrafficRouter]) -> None:
        self._workloads = workloads
        self._routers = routers
        self._watches: dict[tuple[str, str], _Watch] = {}
        """By target and by run: the next release may have other objects."""

    async def put_back(self, target: Target, claim: Claim) -> None:
        """As of `Shared`; users come first."""
        for member in self._shared(target):
            await member.put_back(target, claim)

    async def first(self, target: Target) -> ForeignChange:
        """The first change there is, however long that takes; a cluster that is away meanwhile is waited for."""
        self._watches = {key: watch for key, watch in self._watches.items() if not watch.is_over}
        key = (target.key, activity.info().workflow_run_id or "" if activity.in_activity() else "")
        if key not in self._watches:
            self._watches[key] = _Watch(self._shared(target), target)
        return await self._watches[key].first()

    async def close(self) -> None:
        """Ends every watch; idempotent."""
        await asyncio.gather(*(watch.close() for watch in self._watches.values()))
        self._watches.clear()

    def _shared(self, target: Target) -> Sequence[Shared]:
        router = self._routers.get(str(target.traffic.get("kind", "none")))
        workload = self._workloads.get(str(target.workload.get("kind", "")))
        members = [part for member in (router, workload) for part in _parts(member)]
        return [part for part in members if isinstance(part, Shared)]


class _Watch:
    """The objects of one target, for as long as somebody asks and a moment longer."""

    def __init__(self, members: Sequence[Shared], target: Target) -> None:
        self._target = target
        self._asking = 0
        self._task = asyncio.create_task(self._first(members))

    @property
    def is_over(self) -> bool:
        """Whether a change was found, which may be gone by now, or nobody asked any more."""
        return self._task.done() or bool(self._task.cancelling())

    async def first(self) -> ForeignChange:
        self._asking += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._asking -= 1
            asyncio.get_running_loop().call_later(IDLE, self._leave)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _leave(self) -> None:
        if not self._asking:
            self._task.cancel()

    async def _first(self, members: Sequence[Shared]) -> ForeignChange:
        watching = [asyncio.create_task(self._watch(member)) for member in members]
        try:
            if not watching:
                await asyncio.Event().wait()
            done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _watch(self, member: Shared) -> ForeignChange:
        said = ""
        while True:
            try:
                async with member.changes(self._target) as changes:
                    while True:
                        await changes.next(_LONGEST)
                        await member.look(self._target)
            except ForeignChange as change:
                return change
            except ProviderError as error:
                if str(error) != said:
                    logger.warning("foreign changes of %s are not seen at the moment: %s", self._target.key, error)
                said = str(error)
                await asyncio.sleep(_PAUSE)


def _parts(member: object) -> Sequence[object]:
    return member.shared if isinstance(member, Several) else (member,)
