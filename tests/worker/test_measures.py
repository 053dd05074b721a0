"""Ends of releases and times of undos are counted once, where they happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.temporal import address_of, unique
from tests.worker.reporting import EndingRelease, UndoneRollout, acquire, settle
from worker.measures import DURATION, RELEASES, ROLLBACK, MeasureInterceptor
from worker.sandbox import workflow_runner
from worker.telemetry import MetricsPage, make_runtime


class Measured:
    """A worker without a cache, so that every workflow task replays everything before it."""

    def __init__(self, client: Client, page: MetricsPage) -> None:
        self.client = client
        self.page = page
        self.queue = unique("measured")

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        async with Worker(
            self.client,
            task_queue=self.queue,
            workflows=[EndingRelease, UndoneRollout],
            activities=[acquire, settle],
            interceptors=[MeasureInterceptor()],
            workflow_runner=workflow_runner(),
            max_cached_workflows=0,
        ):
            yield

    async def sample(self, name: str, **labels: str) -> float | None:
        """The value of one series."""
        text = (await self.page.render()).decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        found = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
        return sum(found) if found else None


@pytest.fixture
async def measured(dev_server: WorkflowEnvironment) -> Measured:
    runtime, page = make_runtime()
    return Measured(await Client.connect(address_of(dev_server), runtime=runtime), page)


@pytest.mark.parametrize(
    ("said", "counted"),
    [("Succeeded", "Succeeded"), ("RolledBack", "RolledBack"), ("BadSpec", "BadSpec"), ("Surprise", "Failed")],
)
async def test_a_release_is_counted_once_with_its_outcome(measured: Measured, said: str, counted: str) -> None:
    async with measured.polling():
        handle = await measured.client.start_workflow(
            EndingRelease.run, said, id=f"release/production/{measured.queue}", task_queue=measured.queue
        )
        if said == "Succeeded":
            await handle.result()
        else:
            with pytest.raises(WorkflowFailureError):
                await handle.result()

    labels = {"environment": "production", "outcome": counted}
    assert await measured.sample(RELEASES.name, **labels) == 1
    assert await measured.sample(f"{DURATION.name}_count", **labels) == 1


async def test_a_cancelled_release_is_counted_when_it_has_ended(measured: Measured) -> None:
    async with measured.polling():
        handle = await measured.client.start_workflow(
            EndingRelease.run, "Canceled", id=f"release/staging/{measured.queue}", task_queue=measured.queue
        )
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()

    assert await measured.sample(RELEASES.name, environment="staging", outcome="Canceled") == 1
    assert await measured.sample(RELEASES.name, environment="staging", outcome="Succeeded") is None


async def test_an_undo_is_timed_from_its_fence_to_its_settlement(measured: Measured) -> None:
    async with measured.polling():
        await measured.client.execute_workflow(
            UndoneRollout.run, id=f"rollout/{measured.queue}", task_queue=measured.queue
        )

    assert await measured.sample(f"{ROLLBACK.name}_count", environment="production") == 1
    seconds = await measured.sample(f"{ROLLBACK.name}_sum", environment="production")
    assert seconds is not None
    assert seconds >= 1.2
