"""The real workflows and planner over a world in memory: what the client and the pages about it are tested against."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.boundary import implement
from activities.planning.activities import Planner
from cli.client import Headgate
from tests.temporal import unique
from tests.workflows.fake_world import FakeWorld
from worker.sandbox import workflow_runner
from workflows.contracts.planning import PlanningActivities
from workflows.inquiry import Inquiry
from workflows.janitor import Janitor
from workflows.model.documents import parse_policy, parse_release
from workflows.model.target import Template
from workflows.planning.releases import release_plan
from workflows.release import Release
from workflows.rollback import Rollback
from workflows.rollout import Rollout

POLICY = {
    "apiVersion": "headgate.dev/v1",
    "kind": "Policy",
    "spec": {
        "groups": {"tech-leads": ["ann@example.com", "bob@example.com"]},
        "environments": {
            "production": {
                "targets": [{"cluster": "local", "namespaces": ["default"]}],
                "approvals": [{"name": "production", "count": 2, "from": ["tech-leads"]}],
            },
            "test": {"targets": [{"cluster": "local", "namespaces": ["default"]}]},
        },
    },
}


class RealRelease:
    """Workers with the real workflows and planner, and a world that has version v1 of what is asked for."""

    def __init__(self, client: Client) -> None:
        self.client, self.queue, self.world = client, unique("cli"), FakeWorld()
        self.headgate = Headgate(client, task_queue=self.queue)

    def prepare(self, document: dict[str, Any]) -> None:
        """Puts v1 where the document releases to."""
        plan = release_plan(parse_release(document), parse_policy(POLICY))
        for component in plan.components:
            running = Template(version="v1", digest="1" * 16)
            self.world.add(component.target.key, running, 4, routed=component.target.is_routed)

    def worker(self, suffix: str = "") -> Worker:
        """One of the three workers of `headgate worker`."""
        world = [each for each in self.world.activities() if not _name(each).startswith("planning.")]
        planner = implement(PlanningActivities, Planner(parse_policy(POLICY)))
        return Worker(
            self.client,
            task_queue=self.queue + suffix,
            workflows=[] if suffix else [Release, Rollout, Rollback, Janitor, Inquiry],
            activities=[*world, *planner],
            workflow_runner=workflow_runner(),
            max_heartbeat_throttle_interval=timedelta(milliseconds=200),
        )


def _name(bound: Any) -> str:
    return activity._Definition.must_from_callable(bound).name or ""


def a_release(
    name: str, *, environment: str = "test", version: str = "v2", observe: str = "200ms", **stage: str
) -> Any:
    return {
        "apiVersion": "headgate.dev/v1",
        "kind": "Release",
        "metadata": {"name": name},
        "spec": {
            "environment": environment,
            "version": version,
            "components": [
                {
                    "name": name,
                    "workload": {"kind": "process", "service": name},
                    "traffic": {"kind": "envoy", "route": name},
                    "strategy": {
                        "kind": "canary",
                        "stages": [{"weight": 10, "observe": observe}, {"weight": 50, "observe": "200ms", **stage}],
                        "watch": "200ms",
                    },
                }
            ],
        },
    }


@asynccontextmanager
async def a_real_release(client: Client) -> AsyncIterator[RealRelease]:
    running = RealRelease(client)
    async with running.worker(), running.worker(".observe"), running.worker(".undo"):
        yield running
