"""What is known of a version that failed is kept before its undo removes it, and never before users are back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.workflows.lab import BAD, Lab, Trial
from tests.workflows.test_interruptions import same
from workflows.errors import Rejected


async def failing(lab: Lab, strategy: str = "canary") -> Trial:
    trial = lab.release(strategy)
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    await trial.start()
    return trial


async def test_the_version_is_still_there_when_its_logs_are_kept(lab: Lab) -> None:
    trial = await failing(lab)
    outcome, result = await trial.end()
    assert outcome == "RolledBack"
    assert result["components"][0]["failureLog"] == "cat v2-canary.log"
    [record] = [record for record in lab.world.audit if record.event == "rollback_executed"]
    assert record.details["logs"] == {"shop": "cat v2-canary.log"}


async def test_users_are_back_before_anything_waits_for_logs(lab: Lab) -> None:
    trial = lab.release("canary")
    key = trial.components[0].target.key
    lab.world.verdicts[key] = lambda _: BAD
    slow = asyncio.Event()

    async def stay(_: Any) -> None:
        await slow.wait()

    lab.world.hooks[key, "workloads.gather"] = stay
    await trial.start()
    await trial.until(lambda status: status.phase == "RollingBack" and trial.place.state().weight("stable") == 100)
    await asyncio.sleep(0.5)
    assert "workloads.retire" not in trial.place.called
    slow.set()
    assert (await trial.end())[0] == "RolledBack"
    assert trial.place.called.index("workloads.gather") < trial.place.called.index("workloads.retire")


async def test_an_undo_that_still_has_users_to_bring_back_waits_for_nothing(lab: Lab) -> None:
    """With rolling, the pods that go are those that serve the bad version."""
    trial = lab.release("rolling")
    key, before = trial.components[0].target.key, trial.place.state()
    lab.world.verdicts[key] = lambda _: BAD
    slow = asyncio.Event()

    async def stay(_: Any) -> None:
        await slow.wait()

    lab.world.hooks[key, "workloads.gather"] = stay
    await trial.start()
    await trial.until(lambda _: same(trial.place.state(), before) and "targets.acquire" in trial.place.called)
    slow.set()
    assert (await trial.end())[0] == "RolledBack"


async def test_an_undo_goes_on_without_logs_that_cannot_be_had(lab: Lab) -> None:
    trial = lab.release("canary")
    key, before = trial.components[0].target.key, trial.place.state()
    lab.world.verdicts[key] = lambda _: BAD

    async def refuse(_: Any) -> None:
        raise Rejected("no such right")

    lab.world.hooks[key, "workloads.gather"] = refuse
    await trial.start()
    outcome, result = await trial.end()
    assert outcome == "RolledBack"
    assert result["components"][0]["failureLog"] == ""
    assert same(trial.place.state(), before)


@pytest.mark.parametrize("end", ["succeeds", "is aborted"])
async def test_nothing_is_kept_of_a_release_that_did_not_fail(lab: Lab, end: str) -> None:
    trial = lab.release("canary")
    await trial.start()
    if end == "is aborted":
        await trial.until(lambda status: status.phase == "Observing")
        await trial.say("abort")
    await trial.end()
    assert "workloads.gather" not in trial.place.called
