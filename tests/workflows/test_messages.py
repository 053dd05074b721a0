"""What people may say, when it counts, and what is refused with a sentence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.exceptions import ApplicationError

from tests.workflows.lab import PATIENCE, Holding, Lab, Trial
from workflows.engine.inbox import SHAPES
from workflows.model.decision import Decision
from workflows.model.plan import Gate

LONG = {"kind": "canary", "stages": [{"weight": 10, "observe": "10m"}, {"weight": 50, "observe": "10m"}], "watch": "1m"}
GATED = {
    "kind": "canary",
    "stages": [{"weight": 10, "observe": "100ms"}, {"weight": 50, "observe": "100ms", "approval": "production"}],
    "watch": "100ms",
}
GATE = Gate(name="production", count=2, groups=("leads",), people=("ann@example.com", "bob@example.com"))


async def observing(lab: Lab, **more: Any) -> Trial:
    trial = lab.release(LONG, **more)
    await trial.start()
    await trial.until(lambda status: status.phase == "Observing")
    return trial


async def heard(trial: Trial) -> None:
    """Waits until the Rollout has got a command."""
    signaled = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    while signaled not in {event.event_type for event in (await trial.rollout.fetch_history()).events}:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def settling(trial: Trial) -> Holding:
    """A release that is committed and stands still before it settles its first target."""
    holding = await trial.hold_before(0, "targets.settle")
    await trial.start()
    await asyncio.wait_for(holding.reached.wait(), PATIENCE)
    return holding


async def waiting_for_approval(lab: Lab, gate: Gate = GATE) -> Trial:
    trial = lab.release(GATED, gates={"production": gate})
    await trial.start()
    await trial.until(lambda status: any(g.state == "open" for g in status.gates))
    return trial


WRONG: list[Any] = [
    None,
    7,
    "abort",
    [],
    True,
    {},
    {"firstRunId": ""},
    {"firstRunId": 5},
    {"firstRunId": "another"},
    {"firstRunId": "HERE", "nonsense": 1},
    {"firstRunId": "HERE", "by": 7},
    {"firstRunId": "HERE", "by": "x" * 1000},
]


@pytest.mark.parametrize("message", SHAPES)
async def test_a_wrong_payload_is_refused_with_a_sentence_and_wedges_nothing(lab: Lab, message: str) -> None:
    trial = await observing(lab)
    here = (await trial.status()).first_run_id
    for wrong in WRONG:
        payload = (
            {**wrong, "firstRunId": here} if isinstance(wrong, dict) and wrong.get("firstRunId") == "HERE" else wrong
        )
        answer = await trial.send(message, payload)
        assert str(answer).startswith("refused: "), (payload, answer)
        assert len(str(answer)) > 30, answer
        await trial.release.signal(message, payload)
    status = await trial.until(lambda status: len(status.refused) >= len(WRONG))
    assert {refusal.message for refusal in status.refused} == {message}
    assert status.phase == "Observing"
    await trial.say("abort")
    assert (await trial.end())[0] == "Aborted"


async def test_a_message_without_argument_is_refused(lab: Lab) -> None:
    trial = await observing(lab)
    await trial.release.signal("abort")
    await trial.until(lambda status: len(status.refused) == 1)
    await trial.say("abort")
    assert (await trial.end())[0] == "Aborted"


async def test_a_refusal_names_the_run_that_is_here(lab: Lab) -> None:
    trial = await observing(lab)
    here = (await trial.status()).first_run_id
    assert here in await trial.send("abort", {"by": "ann"})
    assert here in await trial.send("abort", {"by": "ann", "firstRunId": "another"})
    await trial.say("abort")
    await trial.end()


async def test_pause_stops_before_the_next_step_and_resume_goes_on(lab: Lab) -> None:
    trial = lab.release("canary")
    holding = await trial.hold_before(3)
    await trial.start()
    await holding.reached.wait()
    await trial.say("pause")
    await heard(trial)
    holding.go.set()
    await trial.until(lambda status: status.paused)
    await asyncio.sleep(0.6)
    assert trial.place.state().weight("canary") == 10
    await trial.say("resume")
    assert (await trial.end())[0] == "Succeeded"


async def test_a_stale_sequence_is_refused_and_a_second_pause_too(lab: Lab) -> None:
    trial = await observing(lab)
    await trial.say("pause")
    assert "stale" in await trial.say("resume", sequence=0)
    assert "paused already" in await trial.say("pause")
    await trial.say("resume")
    await trial.until(lambda status: not status.paused)
    assert "neither paused nor held" in await trial.say("resume")
    await trial.say("abort")
    await trial.end()


async def test_advance_ends_the_observation_and_full_goes_to_promotion(lab: Lab) -> None:
    trial = await observing(lab)
    await trial.say("advance")
    await trial.until(lambda status: status.components[0].stage == 2)
    await trial.say("advance", full=True)
    await trial.until(lambda status: status.phase == "Watching")
    await trial.say("advance")
    assert (await trial.end())[0] == "Succeeded"


async def test_policy_can_forbid_advance(lab: Lab) -> None:
    trial = await observing(lab, can_advance=False)
    assert "policy" in await trial.say("advance")
    await trial.say("abort")
    await trial.end()


async def test_policy_can_forbid_superseding(lab: Lab) -> None:
    trial = await observing(lab, can_supersede=False)
    assert "policy" in await trial.say("abort", reason="superseded")
    await trial.say("abort", reason="another reason")
    await trial.end()


async def test_after_an_abort_nothing_else_counts(lab: Lab) -> None:
    trial = await observing(lab)
    holding = await trial.hold_before(0)
    await trial.say("abort")
    await holding.reached.wait()
    assert "already goes back" in await trial.say("advance")
    assert "already goes back" in await trial.say("abort")
    assert "no undo is blocked" in await trial.say("abandonUndo", reason="tired")
    holding.go.set()
    assert (await trial.end())[0] == "Aborted"


@pytest.mark.parametrize("message", ["pause", "advance", "abort"])
async def test_what_can_change_nothing_after_commit_is_refused(lab: Lab, message: str) -> None:
    trial = lab.release("canary", components=("shop", "cart"))
    holding = await settling(trial)
    answer = await trial.say(message)
    assert answer.startswith(f"refused: {message}: every component is promoted"), answer
    assert "headgate rollback" in answer
    holding.go.set()
    assert (await trial.end())[0] == "Succeeded"


async def test_a_pause_after_commit_does_not_look_like_one(lab: Lab) -> None:
    """A component that is released alone commits without a word to Release."""
    trial = lab.release("canary")
    holding = await settling(trial)
    await trial.say("pause")
    await trial.until(lambda status: status.phase != "Paused")
    assert "every component is promoted" in await trial.say("pause")
    holding.go.set()
    assert (await trial.end())[0] == "Succeeded"


async def test_two_different_people_open_a_gate_of_two(lab: Lab) -> None:
    trial = await waiting_for_approval(lab)
    assert trial.place.state().weight("canary") == 10
    await trial.say("approve", gate="production", by="ann@example.com")
    assert "already decided" in await trial.say("approve", gate="production", by="Ann@Example.com")
    assert "none of the groups" in await trial.say("approve", gate="production", by="eve@example.com")
    assert (await trial.status()).gates[0].state == "open"
    await trial.say("approve", gate="production", by="bob@example.com", comment="go")
    assert (await trial.end())[0] == "Succeeded"
    granted = [record for record in lab.world.audit if record.event == "approval_granted"]
    assert [record.actor for record in granted] == ["ann@example.com", "bob@example.com"]


async def test_unknown_and_decided_gates_are_refused_naming_the_open_ones(lab: Lab) -> None:
    trial = await waiting_for_approval(lab)
    assert "open gates: production" in await trial.say("approve", gate="nonsense")
    await trial.say("approve", gate="production", by="ann@example.com")
    holding = await trial.hold_before(0)
    await trial.say("approve", gate="production", by="bob@example.com")
    await holding.reached.wait()
    assert "approved already" in await trial.say("reject", gate="production", by="bob@example.com")
    holding.go.set()
    await trial.end()


async def test_one_rejection_after_traffic_moved_rolls_back(lab: Lab) -> None:
    trial = await waiting_for_approval(lab)
    before = trial.place.mark
    await trial.say("reject", gate="production", by="bob@example.com", comment="numbers look odd")
    outcome, result = await trial.end()
    assert outcome == "RolledBack"
    assert result["reason"] == "ApprovalRejected"
    assert "numbers look odd" in result["message"]
    assert before is not None
    assert trial.place.state().weight("stable") == 100


async def test_a_rejection_before_traffic_moved_ends_rejected(lab: Lab) -> None:
    strategy = {"kind": "canary", "stages": [{"weight": 10, "approval": "production"}], "watch": "100ms"}
    trial = lab.release(strategy, gates={"production": GATE})
    await trial.start()
    await trial.until(lambda status: status.gates)
    await trial.say("reject", gate="production", by="bob@example.com")
    assert (await trial.end())[0] == "Rejected"
    assert trial.place.state().slot("canary").is_empty


async def test_a_gate_that_nobody_opens_expires(lab: Lab) -> None:
    trial = await waiting_for_approval(lab, GATE.model_copy(update={"expires_seconds": 0.3}))
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "ApprovalExpired")


async def test_ten_approvals_at_once_do_not_block_abort(lab: Lab) -> None:
    gate = GATE.model_copy(update={"count": 11, "people": ()})
    trial = await waiting_for_approval(lab, gate)
    people = [f"p{n}@example.com" for n in range(10)]
    approvals = [trial.say("approve", gate="production", by=person) for person in people]
    *_, aborted = await asyncio.gather(*approvals, trial.say("abort"))
    assert aborted["accepted"]
    assert (await trial.end())[0] == "Aborted"


async def test_a_sentence_of_a_megabyte_is_refused_and_the_status_stays_small(lab: Lab) -> None:
    trial = await observing(lab)
    huge = "x" * 1_000_000
    assert "refused" in await trial.say("abort", reason=huge)
    await trial.release.signal("abort", {"firstRunId": (await trial.status()).first_run_id, "reason": huge})
    status = await trial.until(lambda status: status.refused)
    assert len(status.model_dump_json()) < 20_000
    await trial.say("abort")
    assert (await trial.end())[0] == "Aborted"


HUGE = "x" * 1_000_000
HELD = Decision(verdict="hold", reason="NoData", message=HUGE)
UNCUT = Decision.model_construct(verdict="hold", reason="NoData", message=HUGE)
"""As a worker writes it that knows no limit."""


@pytest.mark.parametrize("decision", [HELD, UNCUT], ids=["ours", "of-another-worker"])
async def test_a_verdict_of_a_megabyte_holds_and_ends_nothing(lab: Lab, decision: Decision) -> None:
    trial = lab.release("canary")
    key = trial.components[0].target.key
    lab.world.verdicts[key] = lambda request: None if request.holding else decision
    await trial.start()
    status = await trial.until(lambda status: status.wait and status.wait.reason == "NoData")
    assert len(status.model_dump_json()) < 20_000
    del lab.world.verdicts[key]
    await trial.say("resume")
    assert (await trial.end())[0] == "Succeeded"


async def test_an_error_of_a_megabyte_blocks_an_undo_and_ends_nothing(lab: Lab) -> None:
    trial = await observing(lab)
    key = trial.components[0].target.key

    async def refuse(_request: Any) -> None:
        raise ApplicationError(HUGE, type="Rejected", non_retryable=True)

    lab.world.hooks[key, "workloads.retire"] = refuse
    await trial.say("abort")
    status = await trial.until(lambda status: status.wait and status.wait.reason == "UndoBlocked")
    assert len(status.model_dump_json()) < 20_000
    del lab.world.hooks[key, "workloads.retire"]
    await trial.say("resume")
    assert (await trial.end())[0] == "Aborted"


async def test_a_release_only_takes_its_own_workflow_id(lab: Lab) -> None:
    trial = lab.release("rolling")
    trial.handle = await lab.client.start_workflow(
        "Release", {"plan": trial.name}, id=f"release/test/{trial.name}-else", task_queue=lab.queue
    )
    trial.id = f"release/test/{trial.name}-else"
    outcome, _ = await trial.end()
    assert outcome == "BadSpec"


async def test_a_rollout_refuses_a_start_by_hand(lab: Lab) -> None:
    trial = lab.release("rolling")
    order = {
        "release": {"workflowId": "x", "firstRunId": "y", "environment": "test", "name": "a", "version": "v"},
        "target": trial.components[0].target.model_dump(mode="json", by_alias=True),
    }
    await lab.client.start_workflow("Rollout", order, id=f"rollout/{trial.name}", task_queue=lab.queue)
    trial.id = f"rollout/{trial.name}"
    assert (await trial.end())[0] == "BadStart"
