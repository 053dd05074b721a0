"""Every workflow task replayed from the start: what a worker without a cache does after each crash."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from tests.workflows.lab import BAD, a_lab
from worker.ordering import OneByOne
from worker.sandbox import workflow_runner
from worker.wiring import workflow_classes
from workflows.model.plan import Gate

UNCACHED: dict[str, Any] = {"max_cached_workflows": 0, "workflow_runner": OneByOne(UnsandboxedWorkflowRunner())}
"""Without the sandbox, which would import everything again for each task."""

GATED = {
    "kind": "canary",
    "stages": [{"weight": 10, "observe": "100ms"}, {"weight": 50, "observe": "100ms", "approval": "go"}],
    "watch": "100ms",
}


@pytest.mark.parametrize("strategy", ["canary", "recreate"])
async def test_a_release_replays_at_every_task(client: Client, strategy: str) -> None:
    async with a_lab(client, **UNCACHED) as lab:
        good, bad, aborted = (lab.release(strategy) for _ in range(3))
        lab.world.verdicts[bad.components[0].target.key] = lambda request: BAD if request.segment > 2 else None
        holding = await aborted.hold_before(1)
        await asyncio.gather(good.start(), bad.start(), aborted.start())
        await holding.reached.wait()
        await aborted.say("abort")
        await aborted.until(lambda status: status.phase == "RollingBack")
        aborted.free(holding)
        ends = await asyncio.gather(good.end(), bad.end(), aborted.end())
        assert [outcome for outcome, _ in ends][::2] == ["Succeeded", "Aborted"]
        assert ends[1][0] in {"RolledBack", "Succeeded"}
        assert lab.world.violations == []


async def test_messages_and_groups_replay_at_every_task(client: Client) -> None:
    async with a_lab(client, **UNCACHED) as lab:
        trial = lab.release(GATED, components=("api", "web"), gates={"go": Gate(name="go")})
        await trial.start()
        status = await trial.until(lambda status: len(status.gates) == 2)
        await trial.say("pause")
        await trial.say("resume")
        for gate in status.gates:
            await trial.say("approve", gate=gate.instance)
        assert (await trial.end())[0] == "Succeeded"


async def test_a_long_history_replays_at_every_task(client: Client) -> None:
    async with a_lab(client, **UNCACHED) as lab:
        trial = lab.release("canary", history_limit=1)
        await trial.start()
        assert (await trial.end())[0] == "Succeeded"


async def test_questions_change_nothing(client: Client) -> None:
    """What comes with a query in one workflow task is recorded as without it."""
    async with a_lab(client) as lab:
        trials = [lab.release(GATED, components=("api", "web"), gates={"go": Gate(name="go")}) for _ in range(4)]
        await asyncio.gather(*(trial.start() for trial in trials))
        asking = [asyncio.create_task(_ask(handle)) for trial in trials for handle in (trial.release, trial.rollout)]
        for trial in trials[:2]:
            status = await trial.until(lambda status: len(status.gates) == 2)
            for gate in status.gates:
                await trial.say("approve", gate=gate.instance)
        for trial in trials[2:]:
            await trial.say("abort")
        ends = [(await trial.end())[0] for trial in trials]
        for task in asking:
            task.cancel()
        assert ends == ["Succeeded"] * 2 + ["Aborted"] * 2
        replayer = Replayer(
            workflows=workflow_classes(), workflow_runner=workflow_runner(), data_converter=pydantic_data_converter
        )
        for trial in trials:
            for handle in (trial.release, trial.rollout):
                await replayer.replay_workflow(await handle.fetch_history())


async def _ask(handle: WorkflowHandle[Any, Any]) -> None:
    while True:
        with contextlib.suppress(RPCError, WorkflowQueryFailedError):
            await handle.query("status")
