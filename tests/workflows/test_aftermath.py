"""What still comes to a version whose users were led away is counted until its instances are gone, and told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.workflows.lab import BAD, COUNTED, Lab, Trial
from tests.workflows.test_interruptions import same
from workflows.errors import Rejected


def counted(lab: Lab, strategy: str = "blueGreen") -> Trial:
    trial = lab.release(strategy)
    trial.components[0].component["analysis"] = COUNTED
    return trial


async def failed(lab: Lab, trial: Trial) -> dict[str, Any]:
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    await trial.start()
    outcome, result = await trial.end()
    assert outcome == "RolledBack"
    component: dict[str, Any] = result["components"][0]
    return component


@pytest.mark.parametrize("strategy", ["blueGreen", "canary"])
async def test_requests_are_counted_from_the_shift_back_until_the_last_instance_is_gone(
    lab: Lab, strategy: str
) -> None:
    trial = counted(lab, strategy)

    async def stay(_: Any) -> None:
        while "metrics.follow" not in trial.place.called:  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.01)

    lab.world.hooks[trial.components[0].target.key, "workloads.retire"] = stay
    component = await failed(lab, trial)

    size = {"blueGreen": 4, "canary": 1}[strategy]
    assert component["late"]["count"] == size
    assert component["late"]["message"] == f"{size} requests came to canary"
    called = trial.place.called
    assert called.index("metrics.follow") > max(i for i, name in enumerate(called) if name == "traffic.shift")
    [record] = [record for record in lab.world.audit if record.event == "rollback_executed"]
    assert record.details["late"] == {"shop": f"{size} requests came to canary"}


async def test_an_abort_counts_too(lab: Lab) -> None:
    trial = counted(lab, "canary")
    await trial.start()
    await trial.until(lambda status: status.phase == "Observing")
    await trial.say("abort")
    outcome, result = await trial.end()
    assert outcome == "Aborted"
    assert result["components"][0]["late"]["message"].endswith("requests came to canary")


async def test_nobody_counts_what_users_never_reached(lab: Lab) -> None:
    trial = counted(lab)
    holding = await trial.hold_before(0, "checks.run")
    await trial.start()
    await holding.reached.wait()
    await trial.say("abort")
    holding.go.set()
    assert (await trial.end())[0] == "Aborted"
    assert "workloads.retire" in trial.place.called
    assert "metrics.follow" not in trial.place.called


async def test_a_release_that_succeeds_and_one_without_metrics_count_nothing(lab: Lab) -> None:
    good = counted(lab)
    await good.start()
    assert (await good.end())[0] == "Succeeded"
    bare = lab.release("blueGreen")
    assert (await failed(lab, bare))["late"] is None
    assert "metrics.follow" not in good.place.called + bare.place.called


async def test_an_undo_goes_on_without_whoever_counts(lab: Lab) -> None:
    trial = counted(lab)
    key, before = trial.components[0].target.key, trial.place.state()

    async def refuse(_: Any) -> None:
        raise Rejected("this worker cannot read the analysis")

    lab.world.hooks[key, "metrics.follow"] = refuse
    assert (await failed(lab, trial))["late"] is None
    assert same(trial.place.state(), before)
