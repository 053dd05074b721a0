"""Real workflows on a real server over the world in memory, with everything a test needs to interrupt them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Worker

from tests.temporal import status_of, unique
from tests.workflows.fake_world import FakeWorld, Place
from worker.sandbox import workflow_runner
from workflows.inquiry import Inquiry
from workflows.janitor import Janitor
from workflows.model.decision import Decision
from workflows.model.plan import ComponentPlan, Gate, ReleasePlan
from workflows.model.release import Component
from workflows.model.status import ReleaseStatus, RolloutStatus
from workflows.model.target import Target
from workflows.planning.templates import template
from workflows.release import Release
from workflows.rollback import Rollback
from workflows.rollout import Rollout

QUICK = "150ms"
PATIENCE = 200.0
"""Seconds after which something hangs, on any machine."""
COUNTED = {"metrics": [{"name": "errors", "kind": "ratio", "source": "app", "compare": {}}]}
"""An analysis; in the lab nobody computes it."""
BAD = Decision(verdict="rollback", reason="RuleFailed", message="errors: 5 % are above 1 %")

STRATEGIES: dict[str, dict[str, Any]] = {
    "canary": {
        "kind": "canary",
        "stages": [{"weight": 10, "observe": QUICK}, {"weight": 50, "observe": QUICK}],
        "watch": QUICK,
    },
    "canary-without-standby": {
        "kind": "canary",
        "stages": [{"weight": 25, "observe": QUICK}, {"weight": 100, "observe": QUICK}],
        "watch": QUICK,
        "standby": "none",
    },
    "blueGreen": {"kind": "blueGreen", "watch": QUICK},
    "gradual-blueGreen": {
        "kind": "blueGreen",
        "stages": [{"weight": 30, "observe": QUICK}, {"weight": 100, "observe": QUICK}],
        "watch": QUICK,
    },
    "rolling": {"kind": "rolling", "watch": QUICK},
    "recreate": {"kind": "recreate", "watch": QUICK},
}


@dataclass
class Trial:
    """One release in the lab, of one or more components."""

    lab: Lab
    name: str
    components: list[ComponentPlan]
    id: str = ""
    handle: WorkflowHandle[Any, Any] | None = None

    def __post_init__(self) -> None:
        self.id = self.id or f"release/test/{self.name}"

    @property
    def place(self) -> Place:
        return self.lab.world.places[self.components[0].target.key]

    def place_of(self, component: str) -> Place:
        return self.lab.world.places[next(c.target.key for c in self.components if c.name == component)]

    @property
    def rollout(self) -> WorkflowHandle[Any, Any]:
        return self.lab.client.get_workflow_handle(self.components[0].target.rollout_id)

    async def start(self) -> WorkflowHandle[Any, Any]:
        self.handle = await self.lab.client.start_workflow(
            "Release", {"plan": self.name}, id=self.id, task_queue=self.lab.queue
        )
        return self.handle

    @property
    def release(self) -> WorkflowHandle[Any, Any]:
        return self.lab.client.get_workflow_handle(self.id)

    async def status(self) -> ReleaseStatus:
        status: ReleaseStatus = await status_of(self.release, result_type=ReleaseStatus)
        return status

    async def rollout_status(self) -> RolloutStatus:
        """The first component as its Rollout sees it."""
        status: RolloutStatus = await status_of(self.rollout, result_type=RolloutStatus)
        return status

    async def until(self, true: Callable[[ReleaseStatus], Any]) -> ReleaseStatus:
        """Polls the status until it is as wanted."""
        while True:
            status = await self.status()
            if true(status):
                return status
            await asyncio.sleep(0.03)

    async def say(self, message: str, **fields: Any) -> Any:
        """Sends a message for the run that is there now; a refusal comes back as a sentence."""
        status = await self.status()
        payload = {"firstRunId": status.first_run_id, "by": "ann@example.com", **fields}
        if message in {"pause", "resume", "advance"}:
            payload.setdefault("sequence", status.sequence)
        return await self.send(message, payload)

    async def send(self, message: str, payload: Any) -> Any:
        """Sends any payload as update; a refusal comes back as a sentence."""
        try:
            return await self.release.execute_update(message, payload)
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            return f"refused: {cause.message}" if isinstance(cause, ApplicationError) else f"failed: {cause}"
        except RPCError as error:
            return f"failed: {error.message}"

    async def end(self, seconds: float = PATIENCE) -> tuple[str, dict[str, Any]]:
        """The outcome and the result, however the release ended."""
        try:
            result = await asyncio.wait_for(self.release.result(), seconds)
        except TimeoutError:
            msg = f"{self.name} did not end: {(await self.status()).model_dump_json(indent=1)}; {self.place.called}"
            raise AssertionError(msg) from None
        except WorkflowFailureError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError):
                return str(cause.type), (cause.details[0] if cause.details else {})
            return type(cause).__name__, {}
        return str(result["outcome"]), result

    def free(self, holding: Holding) -> None:
        """Lets the world go on and stops it no more."""
        self.lab.world.hooks.pop((self.components[0].target.key, "*"), None)
        holding.go.set()

    async def hold_before(self, nth: int, activity: str = "*") -> Holding:
        """Stops the world before the nth activity, of any kind or of one, on the first component's target."""
        holding = Holding(nth)
        self.lab.world.hooks[self.components[0].target.key, activity] = holding
        return holding


@dataclass
class Holding:
    """A hook that stops before the nth activity (from 0) until it is let go."""

    nth: int
    count: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, _request: Any) -> None:
        at, self.count = self.count, self.count + 1
        if at == self.nth:
            self.reached.set()
            await self.go.wait()


@dataclass
class Lab:
    """Workers on queues of their own, and a world."""

    client: Client
    queue: str
    world: FakeWorld

    def release(
        self,
        strategy: str | dict[str, Any] = "canary",
        *,
        components: tuple[str, ...] = ("shop",),
        version: str = "v2",
        old: str | None = "v1",
        replicas: int = 4,
        gates: dict[str, Gate] | None = None,
        waves: dict[str, int] | None = None,
        name: str = "",
        targets: dict[str, Target] | None = None,
        environment: str = "test",
        gate: Gate | None = None,
        **plan: Any,
    ) -> Trial:
        """Lays out a release and the world it finds."""
        name = name or unique("shop")
        parts = []
        for part in components:
            written = a_component(part, f"{name}-{part}", strategy)
            target = (targets or {}).get(part) or a_target(written)
            if target.key not in self.world.places:
                before = template(Component.model_validate(written), old) if old else None
                self.world.add(target.key, before, replicas, routed=target.is_routed)
            parts.append(
                ComponentPlan(
                    name=part,
                    target=target,
                    template=template(Component.model_validate(written), version),
                    component=written,
                    wave=(waves or {}).get(part, 0),
                    gates=gates or {},
                    gate=gate,
                )
            )
        self.world.plans[name] = ReleasePlan(
            environment=environment, name=name, version=version, digest="0" * 64, components=tuple(parts), **plan
        )
        return Trial(self, name, parts, f"release/{environment}/{name}")


def a_component(name: str, service: str, strategy: str | dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "artifact": {"program": "shop"},
        "workload": {"kind": "process", "service": service},
        "traffic": {"kind": "envoy", "route": service},
        "strategy": STRATEGIES[strategy] if isinstance(strategy, str) else strategy,
        "checks": [{"kind": "http", "path": "/health"}],
    }


def a_target(component: dict[str, Any]) -> Target:
    return Target(
        component=component["name"],
        cluster="local",
        namespace="test",
        workload=component["workload"],
        traffic=component["traffic"],
        exclusive=component["strategy"]["kind"] == "recreate",
    )


@asynccontextmanager
async def a_lab(client: Client, world: FakeWorld | None = None, **options: Any) -> AsyncIterator[Lab]:
    """Three workers as `headgate worker` runs them, over a new world or a given one; `options` go to each of them."""
    lab = Lab(client, unique("lab"), world or FakeWorld())
    shared: dict[str, Any] = {
        "activities": lab.world.activities(),
        "max_heartbeat_throttle_interval": timedelta(milliseconds=200),
        "max_concurrent_activities": 200,
        "workflow_runner": workflow_runner(),
        **options,
    }
    workflows = [Release, Rollout, Rollback, Janitor, Inquiry]
    async with (
        Worker(client, task_queue=lab.queue, workflows=workflows, **shared),
        Worker(client, task_queue=f"{lab.queue}.observe", **shared),
        Worker(client, task_queue=f"{lab.queue}.undo", **shared),
    ):
        yield lab
