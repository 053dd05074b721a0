"""What is told and recorded, also when nobody takes it."""

from __future__ import annotations

import asyncio

from tests.workflows.lab import Lab
from tests.workflows.test_messages import waiting_for_approval


async def test_a_channel_that_is_down_keeps_neither_questions_nor_the_record_waiting(lab: Lab) -> None:
    lab.world.unheard = {"release_started"}
    trial = await waiting_for_approval(lab)
    while not any(note.event == "approval_wanted" for note in lab.world.notes):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert {record.event for record in lab.world.audit} >= {"deployment_initiated", "approval_requested"}
    await trial.say("abort")
    lab.world.unheard.clear()
    assert (await trial.end())[0] == "Aborted"
    assert {note.event for note in lab.world.notes} >= {"release_started", "deployment_aborted"}


async def test_a_record_that_cannot_be_written_keeps_its_order_and_no_question_waiting(lab: Lab) -> None:
    lab.world.unwritten = {"traffic_switched"}
    trial = await waiting_for_approval(lab)
    while not any(note.event == "approval_wanted" for note in lab.world.notes):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert [record.event for record in lab.world.audit] == ["deployment_initiated"]
    await trial.say("abort")
    lab.world.unwritten.clear()
    assert (await trial.end())[0] == "Aborted"
    numbers = [int(record.id.rpartition("/")[2]) for record in lab.world.audit]
    assert numbers == list(range(1, len(numbers) + 1))
