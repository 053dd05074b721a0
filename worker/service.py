"""One worker from its start to its end: connect, check, poll, drain.

Three Temporal workers share the process and its connection, because priority does not preempt: observers on slots of
their own cannot delay a change, and nothing at all can delay an undo.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig
from temporalio.worker import Worker

from worker.census import Census
from worker.connection import connect, missing_search_attributes, persistently
from worker.context import ContextInterceptor
from worker.health import Health, HealthServer
from worker.measures import MeasureInterceptor
from worker.sandbox import workflow_runner
from worker.schedule import keep_janitor
from worker.settings import Settings
from worker.telemetry import MetricsPage, Tracing, headgate_version, make_runtime
from worker.wiring import Wired, read_policy, wire, workflow_classes
from workflows.errors import HeadgateError
from workflows.model.policy import Policy

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEARTBEAT_THROTTLE = timedelta(seconds=5)
"""A cancelled activity learns of it with its next heartbeat, so this bounds how late."""
STICKY_PATIENCE = timedelta(seconds=2)
"""How long a workflow task waits for the worker that knows the workflow before any worker may take it."""
OBSERVER_GRACE = timedelta(seconds=1)
"""Observers end at once on shutdown: what they know is in their heartbeat, and another worker goes on from it."""
OVERTIME = 10.0
"""Seconds beyond the grace after which activities that ignore their cancellation are left behind."""


class NotSetUp(HeadgateError):
    """The namespace is not ready for Headgate; the message says which command makes it so."""


class Stopped(Exception):
    """The signal to stop came while the worker was waiting for something."""


async def serve(settings: Settings, config: ClientConnectConfig, stop: asyncio.Event) -> int:
    """Works until `stop` is set and returns the exit status: 0 when everything was drained.

    Errors: SpecError when the policy is wrong or the health address cannot be had; NotSetUp.
    """
    policy = read_policy(settings.policy)
    runtime, page = make_runtime()
    tracing = Tracing(settings.telemetry) if settings.telemetry.otlp_endpoint else None
    service = Service(settings, policy, page, stop)
    async with HealthServer(settings.health.bind, service.health, service.render_metrics) as server:
        if server.address:
            logger.info("health and metrics at http://%s", server.address)
        try:
            interceptors = [tracing.interceptor] if tracing else []
            client = await service.unless_stopped(connect(config, runtime=runtime, interceptors=interceptors))
            return await service.work(client)
        except Stopped:
            logger.info("stopped before it took any work; drained")
            return 0
        finally:
            service.health.stage = "stopped"
            if tracing:
                await asyncio.to_thread(tracing.flush)


class Service:
    """What the parts of one worker process share."""

    def __init__(self, settings: Settings, policy: Policy, page: MetricsPage, stop: asyncio.Event) -> None:
        self.health = Health()
        self._settings = settings
        self._policy = policy
        self._page = page
        self._stop = stop
        self._census: Census | None = None

    async def render_metrics(self) -> bytes:
        """The Prometheus page as of now."""
        if self._census:
            await self._census.refresh()
        self._page.ready.set(self.health.is_ready)
        return await self._page.render()

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, or Stopped as soon as the signal comes."""
        task, stopping = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopped
            return task.result()
        finally:
            stopping.cancel()
            await _cancelled(task)

    async def work(self, client: Client) -> int:
        """Checks the namespace, then takes work until told to stop."""
        self.health.stage = "checking"
        await self.unless_stopped(_check(client))
        wired = wire(self._settings, self._policy, client)
        self._census = Census(client, wired.find_marks)
        for collector in (self._census, *wired.collectors):
            self._page.registry.register(collector)
        background = [asyncio.create_task(_lasting(run)) for run in wired.background]
        if self._settings.janitor.enabled and self._settings.workflows:
            background.append(asyncio.create_task(keep_janitor(client, self._settings)))
        try:
            return await self._poll(make_workers(client, self._settings, wired))
        finally:
            for task in background:
                await _cancelled(task)
            for provider in wired.providers:
                await provider.close()

    async def _poll(self, workers: Sequence[Worker]) -> int:
        runs = [asyncio.create_task(worker.run()) for worker in workers]
        stopping = asyncio.create_task(self._stop.wait())
        self.health.stage = "polling"
        logger.info("polling %s", ", ".join(worker.task_queue for worker in workers))
        await asyncio.wait((*runs, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for run in runs:
            if run.done() and (error := run.exception()):
                self.health.failure = f"a Temporal worker ended: {error}"
                logger.error("%s", self.health.failure)
        return await self._drain(workers, runs)

    async def _drain(self, workers: Sequence[Worker], runs: Sequence[asyncio.Task[None]]) -> int:
        self.health.stage = "draining"
        grace = self._settings.shutdown.grace
        logger.info("draining: running activities may go on for %s s", f"{grace.total_seconds():g}")
        try:
            async with asyncio.timeout(grace.total_seconds() + OVERTIME):
                await asyncio.gather(*(worker.shutdown() for worker in workers), return_exceptions=True)
                await asyncio.gather(*runs, return_exceptions=True)
        except TimeoutError:
            logger.error("not drained: activities are still running; another worker tries them again")  # noqa: TRY400
            return 1
        logger.info("drained")
        return 1 if self.health.failure else 0


def make_workers(client: Client, settings: Settings, wired: Wired) -> list[Worker]:
    """The three workers of a process: everything regular, observers, and undo."""
    slots, queue, grace = settings.slots, settings.task_queue, settings.shutdown.grace
    make = partial(
        Worker,
        client,
        # Without one the SDK hashes the code of every module it finds, which blocks the loop for a second per process.
        build_id=f"headgate-{headgate_version()}",
        interceptors=[ContextInterceptor(), MeasureInterceptor()],
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
    )
    return [
        make(
            task_queue=queue,
            workflows=workflow_classes() if settings.workflows else (),
            activities=wired.regular,
            workflow_runner=workflow_runner(),
            max_concurrent_workflow_tasks=slots.workflow_tasks,
            max_concurrent_activities=slots.activities,
            sticky_queue_schedule_to_start_timeout=STICKY_PATIENCE,
            graceful_shutdown_timeout=grace,
        ),
        make(
            task_queue=f"{queue}.observe",
            activities=wired.observers,
            max_concurrent_activities=slots.observers,
            graceful_shutdown_timeout=min(OBSERVER_GRACE, grace),
        ),
        make(
            task_queue=f"{queue}.undo",
            activities=wired.regular,
            max_concurrent_activities=slots.undo,
            graceful_shutdown_timeout=grace,
        ),
    ]


async def _check(client: Client) -> None:
    missing = await persistently("the list of search attributes", lambda: missing_search_attributes(client))
    if missing:
        raise NotSetUp(
            f"namespace {client.namespace} lacks the search attributes {', '.join(missing)}, without which every "
            "release would hang; register them with `headgate setup`"
        )


async def _lasting(run: Callable[[], Awaitable[None]]) -> None:
    """Keeps a background duty going: an error is logged, and the duty starts again."""
    while True:
        try:
            await run()
        except Exception:
            logger.exception("a background duty failed and starts again")
        await asyncio.sleep(1)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))
