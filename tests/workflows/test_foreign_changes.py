"""What a release does when somebody else changes what it wrote: hold, take over or go back, as the plan recorded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.workflows.lab import Lab, Trial
from tests.workflows.test_interruptions import same
from workflows.errors import Rejected
from workflows.model.decision import Decision
from workflows.model.plan import Gate

FIELD = "HTTPRoute test/shop: /spec/rules/0/backendRefs"
SLOW = {
    "kind": "canary",
    "stages": [{"weight": 10, "observe": "1s"}, {"weight": 50, "observe": "150ms"}],
    "watch": "1s",
}


def is_held(status: Any) -> bool:
    return bool(status.wait and status.wait.reason == "ForeignChange")


def change(trial: Trial) -> None:
    trial.lab.world.foreign[trial.components[0].target.key] = FIELD


def takeovers(trial: Trial) -> int:
    return sum(name == "targets.take_over" for name, _ in trial.place.log)


def told(trial: Trial, event: str) -> list[str]:
    return [note.message for note in trial.lab.world.notes if note.event == event]


async def observing(trial: Trial) -> None:
    await trial.start()
    await trial.until(lambda status: status.phase == "Observing")


async def changed_before(trial: Trial, activity: str) -> None:
    """Somebody changes something right before an activity's first call."""
    key = trial.components[0].target.key

    async def hook(_: Any) -> None:
        trial.lab.world.hooks.pop((key, activity), None)
        change(trial)

    trial.lab.world.hooks[key, activity] = hook
    await trial.start()


async def test_a_change_while_observing_holds_and_the_release_goes_on_when_it_was_put_back(lab: Lab) -> None:
    trial = lab.release(SLOW)
    await observing(trial)
    change(trial)
    status = await trial.until(is_held)
    assert FIELD in status.wait.message  # type: ignore[union-attr]
    assert "put it back and resume" in status.wait.message  # type: ignore[union-attr]
    assert status.phase == "Paused"
    lab.world.foreign.clear()
    await trial.say("resume")
    assert (await trial.end())[0] == "Succeeded"
    assert any(FIELD in message for message in told(trial, "hold"))
    assert takeovers(trial) == 0


async def test_a_resume_without_putting_it_back_holds_again(lab: Lab) -> None:
    trial = lab.release(SLOW)
    await observing(trial)
    change(trial)
    await trial.until(is_held)
    await trial.say("resume")
    await trial.until(lambda _: len(told(trial, "hold")) == 2)
    assert is_held(await trial.status())
    assert trial.place.state().weight("canary") == 10


async def test_a_resume_can_take_over_what_was_changed(lab: Lab) -> None:
    trial = lab.release(SLOW)
    await observing(trial)
    change(trial)
    await trial.until(is_held)
    await trial.say("resume", takeOver=True)
    assert (await trial.end())[0] == "Succeeded"
    assert takeovers(trial) == 1
    assert {record.event for record in lab.world.audit} >= {"resume_requested", "foreign_change_taken_over"}


async def test_nothing_can_be_taken_over_that_nobody_changed(lab: Lab) -> None:
    trial = lab.release(SLOW)
    await observing(trial)
    await trial.say("pause")
    assert "nobody else changed anything" in await trial.say("resume", takeOver=True)


async def test_a_held_release_still_rolls_back_when_it_turns_bad(lab: Lab) -> None:
    trial = lab.release(SLOW)
    await observing(trial)
    change(trial)
    await trial.until(is_held)
    bad = Decision(verdict="rollback", reason="RuleFailed", message="5 % errors")
    lab.world.verdicts[trial.components[0].target.key] = lambda _: bad
    assert (await trial.end())[1]["reason"] == "RuleFailed"


async def test_a_hold_that_nobody_answers_ends_in_undo(lab: Lab) -> None:
    trial = lab.release(SLOW, hold_seconds=0.5)
    before = trial.place.state()
    await observing(trial)
    change(trial)
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "HoldExpired")
    assert same(trial.place.state(), before)


@pytest.mark.parametrize("activity", ["workloads.deploy", "workloads.scale", "traffic.shift"])
async def test_a_change_that_a_write_meets_holds_and_the_step_is_done_afterwards(lab: Lab, activity: str) -> None:
    trial = lab.release("canary")
    await changed_before(trial, activity)
    await trial.until(is_held)
    lab.world.foreign.clear()
    await trial.say("resume")
    assert (await trial.end())[0] == "Succeeded"
    assert lab.world.violations == []


@pytest.mark.parametrize("activity", ["workloads.deploy", "workloads.scale", "traffic.shift"])
async def test_a_change_that_a_write_meets_is_taken_over(lab: Lab, activity: str) -> None:
    trial = lab.release("canary", foreign_changes="takeOver")
    await changed_before(trial, activity)
    assert (await trial.end())[0] == "Succeeded"
    assert takeovers(trial) == 1
    assert told(trial, "hold") == []
    assert [FIELD in message for message in told(trial, "taken_over")] == [True]


async def test_what_an_observer_saw_before_a_resume_holds_nothing_afterwards(lab: Lab) -> None:
    trial = lab.release("canary")
    lab.world.silent = True
    await changed_before(trial, "traffic.shift")
    await trial.until(lambda status: is_held(status) and lab.world.noticed)
    lab.world.foreign.clear()
    await trial.say("resume")
    assert (await trial.end())[0] == "Succeeded"
    assert len(told(trial, "hold")) == 1


async def test_what_an_observer_saw_before_a_takeover_is_no_second_change(lab: Lab) -> None:
    trial = lab.release("canary", foreign_changes="takeOver")
    lab.world.silent = True

    async def noticed(_: Any) -> None:
        while not lab.world.noticed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    lab.world.hooks[trial.components[0].target.key, "targets.take_over"] = noticed
    await changed_before(trial, "traffic.shift")
    assert (await trial.end())[0] == "Succeeded"
    assert (takeovers(trial), told(trial, "hold")) == (1, [])


async def test_a_change_while_observing_is_taken_over_without_a_person(lab: Lab) -> None:
    trial = lab.release(SLOW, foreign_changes="takeOver")
    await observing(trial)
    change(trial)
    assert (await trial.end())[0] == "Succeeded"
    assert takeovers(trial) == 1
    assert told(trial, "hold") == []


async def test_two_writers_do_not_fight_for_ever(lab: Lab) -> None:
    """A writer that edits the same field without pause: one takeover, then a person decides."""
    trial = lab.release(SLOW, foreign_changes="takeOver")
    await observing(trial)

    async def insist() -> None:
        while True:
            change(trial)
            await asyncio.sleep(0.01)

    writer = asyncio.create_task(insist())
    await trial.until(is_held)
    await asyncio.sleep(0.5)
    assert takeovers(trial) == 1
    assert trial.place.state().weight("canary") == 10
    writer.cancel()
    lab.world.foreign.clear()
    await trial.say("resume")
    assert (await trial.end())[0] == "Succeeded"


async def test_what_cannot_be_taken_over_is_left_to_people(lab: Lab) -> None:
    trial = lab.release(SLOW, foreign_changes="takeOver")
    key = trial.components[0].target.key

    async def refuse(_: Any) -> None:
        raise Rejected("no ReplicaSet tells what it was")

    lab.world.hooks[key, "targets.take_over"] = refuse
    await observing(trial)
    change(trial)
    status = await trial.until(is_held)
    assert "it cannot be put back (no ReplicaSet tells what it was)" in status.wait.message  # type: ignore[union-attr]
    await trial.say("abort")
    assert (await trial.end())[0] == "Aborted"


@pytest.mark.parametrize("activity", ["workloads.deploy", "traffic.shift", "metrics.observe"])
async def test_policy_can_roll_back_and_the_version_is_not_blamed(lab: Lab, activity: str) -> None:
    trial = lab.release("canary", foreign_changes="rollback")
    before = trial.place.state()
    await changed_before(trial, activity)
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "ForeignChange")
    assert FIELD in result["message"]
    assert same(trial.place.state(), before)
    assert trial.place.kept == []


async def test_an_abort_does_not_wait_for_a_takeover(lab: Lab) -> None:
    trial = lab.release(SLOW, foreign_changes="takeOver")
    before = trial.place.state()
    holding = asyncio.Event()

    async def stay(_: Any) -> None:
        holding.set()
        await asyncio.Event().wait()

    lab.world.hooks[trial.components[0].target.key, "targets.take_over"] = stay
    await observing(trial)
    change(trial)
    await holding.wait()
    await trial.say("abort")
    assert (await trial.end())[0] == "Aborted"
    assert same(trial.place.state(), before)


async def test_a_later_run_remembers_what_was_taken_over(lab: Lab) -> None:
    stages = [{"weight": 10, "observe": "500ms", "approval": "go"}, {"weight": 50, "observe": "500ms"}]
    strategy = {"kind": "canary", "stages": stages, "watch": "1s"}
    trial = lab.release(strategy, foreign_changes="takeOver", history_limit=1, gates={"go": Gate(name="go")})
    await trial.start()
    await trial.until(lambda status: status.gates)
    first = (await trial.rollout.describe()).run_id
    await trial.say("approve", gate="go")
    await trial.until(lambda status: status.phase == "Observing")
    change(trial)
    while takeovers(trial) < 1 or (await trial.rollout.describe()).run_id == first:
        await trial.status()
    change(trial)
    await trial.until(is_held)
    assert takeovers(trial) == 1
