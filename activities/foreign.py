"""What others change of what a release wrote: how it is noticed while the release observes, and how it is put back.

By watches and never by polling: a release that is left alone costs a cluster nothing but their renewal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

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

    async def put_back(self, target: Target, claim: Claim) -> None:
        """As of `Shared`; users come first."""
        for member in self._shared(target):
            await member.put_back(target, claim)

    async def first(self, target: Target) -> ForeignChange:
        """The first change there is, however long that takes; a cluster that is away meanwhile is waited for."""
        watching = [asyncio.create_task(self._watch(member, target)) for member in self._shared(target)]
        try:
            if not watching:
                await asyncio.Event().wait()
            done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _watch(self, member: Shared, target: Target) -> ForeignChange:
        said = ""
        while True:
            try:
                async with member.changes(target) as changes:
                    while True:
                        await changes.next(_LONGEST)
                        await member.look(target)
            except ForeignChange as change:
                return change
            except ProviderError as error:
                if str(error) != said:
                    logger.warning("foreign changes of %s are not seen at the moment: %s", target.key, error)
                said = str(error)
                await asyncio.sleep(_PAUSE)

    def _shared(self, target: Target) -> Sequence[Shared]:
        router = self._routers.get(str(target.traffic.get("kind", "none")))
        workload = self._workloads.get(str(target.workload.get("kind", "")))
        members = [part for member in (router, workload) for part in _parts(member)]
        return [part for part in members if isinstance(part, Shared)]


def _parts(member: object) -> Sequence[object]:
    return member.shared if isinstance(member, Several) else (member,)
