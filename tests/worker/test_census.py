"""Any worker tells how long ago any other worker's observer gave a sign of life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from tests.temporal import unique
from tests.worker.observed import ObservedRollout, WaitingRelease, beat
from worker.census import Census
from worker.measures import APPROVALS, CENSUS_AGE, OBSERVATION_AGE, ORPHANS, RUNNING, WEIGHT, Measure
from worker.sandbox import workflow_runner
from workflows.contracts.targets import MarkFound
from workflows.errors import Unavailable
from workflows.model.status import Phase
from workflows.model.target import Mark, ReleaseRef, Target, TargetState


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


class Place:
    """One marked target, and what the census says of it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.name = unique("shop")
        self.target = Target(
            component="web", cluster="local", namespace="shop", workload={"kind": "process", "service": self.name}
        )
        self.marks = [self.mark()]
        self.clock = Clock()
        self.failure: Exception | None = None
        self.census = Census(client, self.find_marks, now=self.clock)

    def mark(self, *, orphaned: bool = False) -> MarkFound:
        release = ReleaseRef(
            workflow_id=f"release/test/{self.name}",
            first_run_id="1",
            environment="test",
            name=self.name,
            version="v2",
        )
        marked_at = datetime.now(UTC) - timedelta(minutes=5)
        mark = Mark(
            target=self.target,
            release=release,
            rollout_run_id="1",
            baseline=TargetState(),
            version="v2",
            marked_at=marked_at,
        )
        return MarkFound(mark=mark, orphaned=orphaned)

    async def find_marks(self) -> list[MarkFound]:
        if self.failure:
            raise self.failure
        return self.marks

    async def read(self) -> None:
        """Makes the census read again."""
        self.clock.advance(11)
        await self.census.refresh()

    def exported(self, measure: Measure) -> dict[tuple[str, ...], float]:
        """The values of one metric by its labels."""
        family = next(family for family in self.census.collect() if family.name == measure.name)
        return {tuple(sample.labels[label] for label in measure.labels): sample.value for sample in family.samples}

    def age(self) -> float | None:
        return self.exported(OBSERVATION_AGE).get(("test", self.name, "web"))

    @asynccontextmanager
    async def rollout(
        self, phase: Phase = "Observing"
    ) -> AsyncIterator[tuple[WorkflowHandle[ObservedRollout, None], Worker]]:
        """An open Rollout on the target; its observers are the second worker."""
        queue, observers = unique("rollout"), unique("observe")
        runner = workflow_runner()
        async with (
            Worker(self.client, task_queue=queue, workflows=[ObservedRollout], workflow_runner=runner),
            Worker(self.client, task_queue=observers, activities=[beat]) as observing,
        ):
            handle = await self.client.start_workflow(
                ObservedRollout.run, args=[phase, observers], id=self.target.rollout_id, task_queue=queue
            )
            yield handle, observing
            await handle.terminate()

    async def until(self, described: str, handle: WorkflowHandle[ObservedRollout, None]) -> None:
        """Waits until the server says this of the pending observation."""
        async with asyncio.timeout(120):
            while True:
                pending = (await handle.describe()).raw_description.pending_activities
                state = "none"
                if pending:
                    state = "beating" if pending[0].last_heartbeat_time.seconds else "asked"
                    state = "retried" if pending[0].attempt > 1 else state
                if state == described:
                    return
                await asyncio.sleep(0.1)


async def last_beat(handle: WorkflowHandle[ObservedRollout, None]) -> datetime:
    """When the pending observation gave its last sign of life, as the server knows it."""
    (pending,) = (await handle.describe()).raw_description.pending_activities
    return pending.last_heartbeat_time.ToDatetime(UTC)


@pytest.fixture
def place(client: Client) -> Place:
    return Place(client)


async def test_an_observed_component_shows_a_young_observation(place: Place) -> None:
    async with place.rollout() as (handle, _):
        await place.until("beating", handle)
        await place.read()

        age = place.age()
        assert age is not None
        assert age < 11 + 10


async def test_a_lost_observer_makes_the_age_grow_on_every_other_worker(place: Place) -> None:
    async with place.rollout() as (handle, observing):
        await place.until("beating", handle)
        await observing.shutdown()
        await place.until("retried", handle)
        async with asyncio.timeout(120):
            while datetime.now(UTC) - await last_beat(handle) < timedelta(seconds=2):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

        await place.read()

        age = place.age()
        assert age is not None
        assert age - place.clock.ahead.total_seconds() >= 2


async def test_between_two_readings_ages_go_on_growing(place: Place) -> None:
    async with place.rollout() as (handle, _):
        await place.until("beating", handle)
        await place.read()
        before = place.age()

        place.clock.advance(5)
        await place.census.refresh()

        after = place.age()
        assert before is not None
        assert after is not None
        assert after - before >= 5


async def test_users_on_the_new_version_without_any_observation_make_the_age_grow_from_the_last_sign(
    place: Place,
) -> None:
    async with place.rollout() as (handle, _):
        await place.until("beating", handle)
        await place.read()
        before = place.age()
        await handle.signal(ObservedRollout.stop_observing)
        await place.until("none", handle)

        await place.read()

        after = place.age()
        assert before is not None
        assert after is not None
        assert before < after < 60


async def test_a_component_that_no_user_reaches_needs_no_observation(place: Place) -> None:
    async with place.rollout("Preparing") as (handle, _):
        await place.until("beating", handle)
        await handle.signal(ObservedRollout.stop_observing)
        await place.until("none", handle)
        await place.read()

        assert place.age() is None


async def test_exposure_that_nobody_ever_observed_ages_from_when_it_was_first_noticed(place: Place) -> None:
    async with place.rollout() as (handle, _):
        await place.until("beating", handle)
        await handle.signal(ObservedRollout.stop_observing)
        await place.until("none", handle)
        await place.read()
        first = place.age()
        place.clock.advance(100)
        await place.read()

        assert first is not None
        assert first < 10
        assert (place.age() or 0) > 100


async def test_a_target_whose_rollout_is_lost_is_unobserved_since_it_was_marked(place: Place) -> None:
    place.marks = [place.mark(orphaned=True)]
    await place.read()

    age = place.age()
    assert age is not None
    assert age > 300
    assert place.exported(ORPHANS) == {("test",): 1}


async def test_releases_their_weights_and_their_approvals_are_told(place: Place, client: Client) -> None:
    place.marks = []
    environment, queue = unique("env"), unique("release")
    async with Worker(client, task_queue=queue, workflows=[WaitingRelease], workflow_runner=workflow_runner()):
        handle = await client.start_workflow(WaitingRelease.run, id=f"release/{environment}/shop", task_queue=queue)
        async with asyncio.timeout(120):
            while place.exported(APPROVALS).get((environment,)) != 1:
                await place.read()
                await asyncio.sleep(0.1)

        assert place.exported(RUNNING)[environment, "Observing"] == 1
        assert place.exported(WEIGHT)[environment, "shop"] == 25
        await handle.terminate()


async def test_what_cannot_be_read_keeps_its_last_values_and_tells_their_age(place: Place) -> None:
    place.marks = [place.mark(orphaned=True)]
    await place.read()
    place.failure = Unavailable("the disk is away")

    place.clock.advance(100)
    await place.read()

    assert place.exported(ORPHANS) == {("test",): 1}
    assert place.exported(CENSUS_AGE)[()] > 100
