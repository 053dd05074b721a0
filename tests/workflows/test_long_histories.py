"""A Rollout whose history has grown long continues as new, and nobody notices."""

from __future__ import annotations

import pytest

from tests.workflows.lab import BAD, STRATEGIES, Lab, Trial
from tests.workflows.test_interruptions import same
from workflows.model.decision import Decision
from workflows.model.plan import Gate


async def runs(trial: Trial) -> int:
    described = await trial.rollout.describe()
    count, run = 1, described.raw_description.workflow_execution_info.first_run_id
    while run != described.run_id:
        history = await trial.lab.client.get_workflow_handle(trial.rollout.id, run_id=run).fetch_history()
        run = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        count += 1
    return count


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_release_succeeds_over_several_runs(lab: Lab, strategy: str) -> None:
    trial = lab.release(strategy, history_limit=1)
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    assert await runs(trial) > 1
    stages = [p.claim.run_id for name, p in trial.place.log if name == "traffic.shift"]
    assert len(set(stages)) > 1 or strategy in {"rolling", "recreate"}
    assert lab.world.violations == []
    assert trial.place.mark is None


async def test_a_later_run_rolls_back_to_the_first_runs_baseline(lab: Lab) -> None:
    trial = lab.release("canary", history_limit=1)
    before = trial.place.state()
    key = trial.components[0].target.key
    lab.world.verdicts[key] = lambda request: BAD if request.weights.get("canary") == 50 else None
    await trial.start()
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "RuleFailed")
    assert await runs(trial) > 1
    assert same(trial.place.state(), before)


async def test_an_approval_counts_in_a_later_run(lab: Lab) -> None:
    strategy = {
        "kind": "canary",
        "stages": [{"weight": 10, "observe": "300ms"}, {"weight": 50, "observe": "300ms", "approval": "go"}],
        "watch": "100ms",
    }
    trial = lab.release(strategy, gates={"go": Gate(name="go")}, history_limit=1)
    await trial.start()
    await trial.until(lambda status: status.gates)
    await trial.say("approve", gate="go")
    assert (await trial.end())[0] == "Succeeded"
    assert len([r for r in lab.world.audit if r.event == "approval_requested"]) == 1


async def test_a_stage_needs_its_whole_time_over_all_runs(lab: Lab) -> None:
    strategy = {"kind": "canary", "stages": [{"weight": 10, "observe": "1s"}], "watch": "0s"}
    trial = lab.release(strategy, history_limit=1)
    key = trial.components[0].target.key
    hold = Decision(verdict="continue", reason="SegmentEnded")
    ends: list[int] = []

    def short(request: object) -> Decision | None:
        segment = getattr(request, "segment", 0)
        if len(ends) < 3 and segment not in ends:
            ends.append(segment)
            return hold
        return None

    lab.world.verdicts[key] = short
    started = await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    described = await started.describe()
    assert described.close_time is not None
    assert (described.close_time - described.start_time).total_seconds() > 1
    assert await runs(trial) >= 3
