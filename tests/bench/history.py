"""How many events a four-stage canary leaves in Temporal's history, and that samples are none of them.

Windows of half an hour pass on the time-skipping server: there an observation lives in the server's own retries, as its
clock stands still while an attempt runs. Short windows pass in real time, with everything real. Both with two ticks.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import WorkflowEnvironment

from activities.boundary import implement
from cli.tools import Toolbox
from tests.bench.ground import Ground, Layout
from tests.bench.histories import by_kind, events
from tests.bench.releases import a_release, analysis, end, first, start
from tests.bench.rows import Measured, Row, Say, Sheet
from tests.bench.users import users
from tests.cli.real import RealRelease
from tests.workflows.fake_world import FakeWorld
from workflows.contracts.metrics import MetricActivities, Observed, ObserveRequest
from workflows.engine.visibility import KEYS
from workflows.model.decision import Decision

LIMIT = 250
LONG, SHORT = "30m", "6s"
RATE = 60


@dataclass(frozen=True)
class Case:
    """One canary: how long its windows are, how often it is sampled, and how large it is."""

    window: str
    tick: str
    replicas: int

    def __str__(self) -> str:
        size = "1 replica" if self.replicas == 1 else f"{self.replicas} replicas"
        return f"{self.window}, a sample every {self.tick}, {size}"


CASES = (
    Case(LONG, "60s", 1),
    Case(LONG, "5s", 1),
    Case(LONG, "60s", 4),
    Case(SHORT, "1s", 1),
    Case(SHORT, "250ms", 1),
    Case(SHORT, "1s", 4),
)

Counted = tuple[Counter[str], Counter[str]]
"""Of the Release and of the Rollout."""


async def measure(say: Say) -> Measured:
    """A row per run, and where the events come from."""
    runs: dict[Case, Counted] = {}
    async with _skipping() as environment:
        for case in CASES:
            if case.window == LONG:
                say(f"history, {case}, on the time-skipping server")
                runs[case] = await _skipped(environment, case)
    short = [case for case in CASES if case.window == SHORT]
    async with Ground(Layout(routes=len(short), workers=2), say) as ground, AsyncExitStack() as stack:
        for route, case in zip(ground.routes, short, strict=True):
            await first(ground, route, replicas=case.replicas)
            await stack.enter_async_context(users(ground, route, RATE))
        say(f"history, {', '.join(map(str, short))}, everything real")
        found = await asyncio.gather(*(_real(ground, *one) for one in zip(ground.routes, short, strict=True)))
        runs |= dict(zip(short, found, strict=True))
    return Measured(
        [
            Row(f"history events, four stages of {case}", f"≤ {LIMIT}", [_total(counted)], unit="", limit=LIMIT)
            for case, counted in runs.items()
        ],
        [_breakdown(runs)],
        notes=(
            "Weights 5, 25, 50 and 100 % and a watch as long as a stage, with audit and notifications.",
            "A stage that needs more instances than the last one costs 6 events: none with 1 replica, two with 4.",
            f"Windows of {LONG}: real workflows and planner over the tests' world in memory; a sample is a retry.",
            "The test server adds workflow tasks for which nothing happened; the short windows are on a real server.",
            f"Windows of {SHORT}: processes, Envoy, {RATE} requests a second, a journal of JSON lines.",
        ),
    )


def _strategy(window: str) -> dict[str, Any]:
    stages = [{"weight": weight, "observe": window} for weight in (5, 25, 50, 100)]
    return {"kind": "canary", "stages": stages, "watch": window}


async def _real(ground: Ground, route: str, case: Case) -> Counted:
    document = a_release(route, _strategy(SHORT), analysis=analysis(tick=case.tick, minRequests=0))
    started = await start(ground, document)
    await end(ground, started)
    release = await events(ground.client, started.workflow_id, started.run_id)
    rollout = await events(ground.client, f"rollout/local/bench/process/{route}")
    return by_kind(release), by_kind(rollout)


async def _skipped(environment: WorkflowEnvironment, case: Case) -> Counted:
    document = a_release("shop", _strategy(LONG), environment="test")
    running = RealRelease(environment.client)
    running.world = PatientWorld(retry=float(case.tick.removesuffix("s")))
    running.prepare(document)
    for key, place in list(running.world.places.items()):
        running.world.add(key, place.slots["stable"].template, case.replicas)
    async with running.worker(), running.worker(".observe"), running.worker(".undo"):
        handle = await environment.client.start_workflow(
            "Release", document, id="release/test/shop", task_queue=running.queue
        )
        result = await handle.result()
    if result["outcome"] != "Succeeded":
        raise RuntimeError(f"the release ended {result['outcome']}: {result['message']}")
    release = await events(environment.client, handle.id)
    rollout = await events(environment.client, "rollout/local/default/process/shop")
    return by_kind(release), by_kind(rollout)


@dataclass
class PatientWorld(FakeWorld):
    """The tests' world, with an observer that waits in the server instead of in a worker."""

    retry: float = 60

    def activities(self) -> list[Callable[..., Any]]:
        others = [each for each in super().activities() if _name(each) != "metrics.observe"]
        return [*others, *implement(MetricActivities, _Patient(self.retry))]


class _Patient:
    def __init__(self, tick: float) -> None:
        self._tick = tick

    async def observe(self, request: ObserveRequest) -> Observed:
        """In a stage every attempt is a sample, and the last one answers; between stages one waits to be told."""
        if request.need_seconds is None:
            return await self._until_cancelled(request)
        info = activity.info()
        passed = (info.current_attempt_scheduled_time - info.scheduled_time).total_seconds()
        if passed >= request.need_seconds:
            return _answer(request, Decision(verdict="pass"), passed)
        raise ApplicationError(
            "observing",
            next_retry_delay=timedelta(seconds=min(self._tick, request.need_seconds - passed)),
            category=ApplicationErrorCategory.BENIGN,
        )

    async def _until_cancelled(self, request: ObserveRequest) -> Observed:
        """As a real observer, whom a cancel reaches only with its next heartbeat."""
        with suppress(asyncio.CancelledError):
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.05)
        return _answer(request, Decision(verdict="continue"), 0)


def _answer(request: ObserveRequest, decision: Decision, seconds: float) -> Observed:
    return Observed(segment=request.segment, decision=decision, evidence=request.evidence, observed_seconds=seconds)


@asynccontextmanager
async def _skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with await WorkflowEnvironment.start_time_skipping(
        data_converter=pydantic_data_converter, test_server_existing_path=str(Toolbox().test_server().path)
    ) as environment:
        await _register(environment.client)
        yield environment


async def _register(client: Client) -> None:
    attributes = {key.name: key.indexed_value_type for key in KEYS}
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes=attributes)  # type: ignore[arg-type]
    )


def _breakdown(runs: dict[Case, Counted]) -> Sheet:
    """Most frequent first; the two workflows in the end."""
    sums = {name: release + rollout for name, (release, rollout) in runs.items()}
    kinds = [kind for kind, _ in next(iter(sums.values())).most_common()]
    kinds += sorted({kind for counted in sums.values() for kind in counted} - set(kinds))
    lines = [[kind, *(str(counted[kind]) for counted in sums.values())] for kind in kinds]
    lines.append(["in Release", *(str(release.total()) for release, _ in runs.values())])
    lines.append(["in Rollout", *(str(rollout.total()) for _, rollout in runs.values())])
    lines.append(["total", *(str(_total(counted)) for counted in runs.values())])
    return Sheet(
        "History events of a four-stage canary, by window / sample / replicas",
        ("events", *(f"{case.window}/{case.tick}/{case.replicas}" for case in runs)),
        lines,
    )


def _total(counted: Counted) -> int:
    release, rollout = counted
    return release.total() + rollout.total()


def _name(bound: Any) -> str:
    return activity._Definition.must_from_callable(bound).name or ""
