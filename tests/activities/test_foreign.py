"""Objects that others may change are watched once for all segments of an observation, and no longer than asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest

from activities import foreign
from activities.foreign import Lookout
from activities.registry import Registry
from tests.activities.listening import Listened
from tests.activities.world import Run
from workflows.errors import ForeignChange
from workflows.model.target import Target

AT = Target(component="trip", cluster="local", namespace="n", workload={"kind": "shared", "deployment": "trip"})


class Place(Listened):
    """A provider whose objects change when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.is_changed = False

    def changes(self, _: Target) -> AbstractAsyncContextManager[Place]:
        return self.listening()

    async def next(self, _: float) -> bool:
        await self.moved.wait()
        self.moved.clear()
        return True

    async def look(self, _: Target) -> None:
        self.looks += 1
        if self.is_changed:
            raise ForeignChange("somebody was here", field="replicas")

    async def put_back(self, _: Target, __: Any) -> None:
        raise NotImplementedError

    def change(self, *, to: bool) -> None:
        self.is_changed = to
        self.moved.set()


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
async def lookout(place: Place) -> AsyncIterator[Lookout]:
    workloads: Registry[Any] = Registry("workloads", {"shared": lambda: place})
    routers: Registry[Any] = Registry("traffic", {"none": object})
    made = Lookout(workloads, routers)
    yield made
    await made.close()
    assert place.listeners == 0


@asynccontextmanager
async def observing(lookout: Lookout, run: str = "run-1") -> AsyncIterator[asyncio.Task[ForeignChange]]:
    """One segment of a run's observation."""
    task = asyncio.create_task(Run("rollout/x", run).call(lookout.first, AT))
    await asyncio.sleep(0.02)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_next_segment_goes_on_with_what_is_heard(lookout: Lookout, place: Place) -> None:
    for _ in range(5):
        async with observing(lookout):
            assert place.listeners == 1
    assert place.looks == 1

    async with observing(lookout) as told:
        place.change(to=True)
        assert (await told).field == "replicas"


async def test_another_run_may_have_other_objects(lookout: Lookout, place: Place) -> None:
    async with observing(lookout), observing(lookout, "run-2"):
        assert place.listeners == 2


async def test_what_changed_between_two_segments_is_told(lookout: Lookout, place: Place) -> None:
    async with observing(lookout):
        pass
    place.change(to=True)
    await asyncio.sleep(0.02)
    async with observing(lookout) as told:
        assert (await told).field == "replicas"


async def test_what_was_put_back_is_told_to_nobody_else(lookout: Lookout, place: Place) -> None:
    async with observing(lookout) as told:
        place.change(to=True)
        await told
    place.change(to=False)
    async with observing(lookout) as told:
        assert not told.done()


async def test_nobody_listens_when_nobody_asks(lookout: Lookout, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "IDLE", 0.05)
    async with observing(lookout) as told:
        await asyncio.sleep(0.1)
        assert not told.done()
    async with asyncio.timeout(5):
        while place.listeners:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with observing(lookout):
        assert place.looks == 2
