"""The releases that benchmarks make, and the questions they ask about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

from cli.names import Ref
from cli.snapshot import Ending, Started
from tests.bench.ground import Ground
from tests.temporal import status_of
from workflows.model.documents import parse_release
from workflows.model.shapes import dump
from workflows.model.status import ReleaseStatus

_versions = count(1)


def a_release(
    route: str,
    strategy: dict[str, Any],
    *,
    environment: str = "bench",
    replicas: int = 1,
    analysis: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    **component: Any,
) -> dict[str, Any]:
    """A document with a version that there has not been yet; service and route bear the same name."""
    document = {
        "apiVersion": "headgate.dev/v1",
        "kind": "Release",
        "metadata": {"name": route},
        "spec": {
            "environment": environment,
            "version": f"v{next(_versions)}",
            "components": [
                {
                    "name": route,
                    "artifact": {"program": "service", "env": env or {}},
                    "workload": {"kind": "process", "service": route, "replicas": replicas},
                    "traffic": {"kind": "envoy", "route": route},
                    "strategy": strategy,
                    "drain": "2s",
                    "checks": [{"kind": "http", "path": "/health", "retries": 5, "every": "1s"}],
                    **({"analysis": analysis} if analysis else {}),
                    **component,
                }
            ],
        },
    }
    return dump(parse_release(document))


def analysis(tick: str = "1s", interval: str = "2s", **more: Any) -> dict[str, Any]:
    """The demo's analysis: errors and latency as Envoy counts them."""
    return {
        "tick": tick,
        "metrics": [
            {"name": "errors", "kind": "ratio", "source": "envoy", "rule": {"rollback": "1%", "interval": interval}},
            {
                "name": "latency",
                "kind": "histogram",
                "source": "envoy",
                "quantile": "95%",
                "rule": {"rollback": "500ms", "interval": interval, "failureLimit": 1},
            },
        ],
        **more,
    }


def ref_of(document: dict[str, Any]) -> Ref:
    return Ref(document["spec"]["environment"], document["metadata"]["name"])


async def start(ground: Ground, document: dict[str, Any]) -> Started:
    return await ground.headgate.start(document)


async def finish(ground: Ground, document: dict[str, Any], outcome: str = "Succeeded") -> Ending:
    """Starts a release, waits for its end, and insists on how it ended."""
    started = await start(ground, document)
    return await end(ground, started, outcome)


async def end(ground: Ground, started: Started, outcome: str = "Succeeded") -> Ending:
    """Waits for the end and insists on it: a number that belongs to another story is worth nothing."""
    ending = await ground.headgate.wait(started.ref, run_id=started.run_id)
    if ending.outcome != outcome:
        raise RuntimeError(f"{started.ref} ended {ending.outcome}, not {outcome}: {ending.message}")
    return ending


async def first(ground: Ground, *routes: str, environment: str = "bench", **more: Any) -> None:
    """Brings a first version to each route."""
    rolling = {"kind": "rolling", "watch": "0s"}
    documents = [a_release(route, rolling, environment=environment, **more) for route in routes]
    await asyncio.gather(*(finish(ground, document) for document in documents))


async def until(
    ground: Ground, started: Started, true: Callable[[ReleaseStatus], Any], *, patience: float = 120
) -> ReleaseStatus:
    """Asks the release itself until its status is as wanted."""
    handle = ground.client.get_workflow_handle(started.workflow_id, run_id=started.run_id)
    async with asyncio.timeout(patience):
        while True:
            status: ReleaseStatus = await status_of(handle, result_type=ReleaseStatus)
            if true(status):
                return status
            await asyncio.sleep(0.1)
