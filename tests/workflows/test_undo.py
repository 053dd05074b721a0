"""An undo that cannot go on says so, goes on when it can, and never gives up silently."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from tests.workflows.lab import BAD, Lab, Trial
from tests.workflows.test_interruptions import same
from workflows.contracts.traffic import ShiftRequest
from workflows.errors import NotReady, ProviderError, Rejected
from workflows.model.target import SlotState, TrafficState

SLOW = {"kind": "canary", "stages": [{"weight": 50, "observe": "10m"}], "watch": "1m"}


async def observing(lab: Lab, **more: Any) -> Trial:
    trial = lab.release(SLOW, **more)
    await trial.start()
    await trial.until(lambda status: status.phase == "Observing")
    return trial


async def blocked(trial: Trial) -> None:
    status = await trial.until(lambda status: status.wait and status.wait.reason == "UndoBlocked")
    assert status.phase == "RollingBack"


async def test_a_capture_that_fails_behind_its_mark_is_undone(lab: Lab) -> None:
    """A sync that does not end within the time of a capture, or an autoscaler that may not be written."""
    trial = lab.release("canary")
    lab.world.half_captured.add(trial.components[0].target.key)
    await trial.start()
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("Failed", "Rejected")
    assert "the autoscaler is read-only" in result["message"]
    assert trial.place.mark is None
    assert trial.place.called[-1] == "targets.settle"


async def test_a_capture_that_fails_before_its_mark_touches_nothing(lab: Lab) -> None:
    trial = lab.release("canary")

    async def refuse(_: object) -> None:
        raise Rejected("the Deployment is not there")

    lab.world.hooks[trial.components[0].target.key, "targets.capture"] = refuse
    await trial.start()
    assert (await trial.end())[0] == "Failed"
    assert trial.place.log == []


async def test_a_shrunken_stable_is_brought_back_to_its_captured_size(lab: Lab) -> None:
    trial = await observing(lab)
    before = trial.place.mark
    assert before is not None
    stable = trial.place.slots["stable"]
    digest = stable.template.digest if stable.template else ""
    trial.place.slots["stable"] = stable.model_copy(update={"replicas": 1, "ready": {digest: 1}})
    await trial.say("abort")
    assert (await trial.end())[0] == "Aborted"
    assert same(trial.place.state(), before.baseline)
    assert lab.world.violations == []


async def test_a_dead_stable_blocks_the_undo_and_leaves_users_where_they_are_served(lab: Lab) -> None:
    trial = await observing(lab)
    stable = trial.place.slots["stable"]
    assert stable.template is not None
    trial.place.slots["stable"] = stable.model_copy(update={"ready": {}})
    trial.place.traffic = trial.place.traffic.model_copy(update={"weights": {"canary": 100.0}})  # type: ignore[union-attr]
    lab.world.unready.add(stable.template.digest)
    await trial.say("abort")
    await blocked(trial)
    assert trial.place.state().weight("canary") == 100
    async with asyncio.timeout(120):
        while not any(note.severity == "critical" for note in lab.world.notes):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    lab.world.unready.clear()
    trial.place.slots["stable"] = SlotState(
        template=stable.template, replicas=4, ready={stable.template.digest: 4}, running=4
    )
    await trial.say("resume")
    assert (await trial.end())[0] == "Aborted"
    assert trial.place.state().weight("stable") == 100
    assert lab.world.violations == []


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        ("traffic.shift", Rejected),
        ("workloads.retire", Rejected),
        ("workloads.retire", NotReady),
        ("targets.settle", Rejected),
        ("targets.acquire", Rejected),
    ],
)
async def test_what_one_object_refuses_or_waits_for_too_long_blocks_and_resume_goes_on(
    lab: Lab, refused: str, error: type[ProviderError]
) -> None:
    trial = await observing(lab)
    mark = trial.place.mark
    assert mark is not None
    key = trial.components[0].target.key

    async def refuse(_request: Any) -> None:
        raise error(f"{refused} is refused by the other side")

    lab.world.hooks[key, refused] = refuse
    await trial.say("abort")
    await blocked(trial)
    assert "already goes back" in await trial.say("pause")
    if refused not in {"targets.acquire", "traffic.shift"}:
        assert trial.place.state().weight("stable") == 100
    if refused == "traffic.shift":
        assert not trial.place.state().slot("canary").is_empty
    del lab.world.hooks[key, refused]
    await trial.say("resume")
    assert (await trial.end())[0] == "Aborted"
    assert same(trial.place.state(), mark.baseline)


async def test_no_instance_ends_before_users_are_seen_to_be_back(lab: Lab) -> None:
    """A router says at once what it was asked for, whatever the data plane does about it."""
    trial = await observing(lab)
    mark = trial.place.mark
    assert mark is not None
    key, tries = trial.components[0].target.key, list[ShiftRequest]()

    async def ask_in_vain(request: ShiftRequest) -> None:
        tries.append(request)
        trial.place.traffic = TrafficState(weights=request.weights)
        raise ApplicationError("Envoy shows 50 %", type="WeightNotVerified", non_retryable=True)

    lab.world.hooks[key, "traffic.shift"] = ask_in_vain
    await trial.say("abort")
    for number in (1, 2, 3):
        await trial.until(lambda _: len(tries) == number)  # noqa: B023
        await blocked(trial)
        assert not trial.place.state().slot("canary").is_empty
        await trial.say("resume")
    del lab.world.hooks[key, "traffic.shift"]
    await trial.say("resume")
    assert (await trial.end())[0] == "Aborted"
    assert same(trial.place.state(), mark.baseline)


async def test_a_person_can_abandon_a_blocked_undo_and_the_mark_stays(lab: Lab) -> None:
    trial = await observing(lab)
    key = trial.components[0].target.key

    async def refuse(_request: Any) -> None:
        raise Rejected("refused by the other side")

    lab.world.hooks[key, "traffic.shift"] = refuse
    await trial.say("abort")
    await blocked(trial)
    await trial.say("abandonUndo", reason="done by hand")
    outcome, result = await trial.end()
    assert outcome == "Failed"
    assert result["reason"] == "UndoAbandoned"
    assert "done by hand" in result["message"]
    assert trial.place.mark is not None


async def test_a_run_that_lost_its_fence_stops_and_undoes_nothing(lab: Lab) -> None:
    trial = lab.release("canary")
    holding = await trial.hold_before(5)
    await trial.start()
    await holding.reached.wait()
    place = trial.place
    assert place.owner is not None
    place.owner = place.owner.model_copy(update={"epoch": 99, "workflow_id": "somebody-else"})
    place.mark = None
    state = place.state()
    trial.free(holding)
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("Failed", "Superseded")
    assert place.state() == state


async def test_a_new_version_that_never_gets_ready_is_removed(lab: Lab) -> None:
    trial = lab.release("canary")
    before = trial.place.state()
    lab.world.unready.add(trial.components[0].template.digest)
    await trial.start()
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "NotReady")
    assert same(trial.place.state(), before)
    assert lab.world.violations == []


async def test_a_first_release_that_fails_is_removed(lab: Lab) -> None:
    trial = lab.release("canary", old=None)
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    await trial.start()
    assert (await trial.end())[0] == "RolledBack"
    assert trial.place.state().slot("stable").is_empty
    assert trial.place.mark is None


async def test_a_failed_check_stops_before_users_are_reached(lab: Lab) -> None:
    trial = lab.release("canary")
    lab.world.failed_checks.add(trial.components[0].target.key)
    await trial.start()
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "CheckFailed")
    assert all(name != "traffic.shift" for name, _ in trial.place.log)


@pytest.mark.parametrize("waves", [{"api": 0, "web": 0}, {"api": 1, "web": 0}], ids=["same-wave", "higher-wave"])
async def test_an_undo_that_is_blocked_holds_no_other_component_back(lab: Lab, waves: dict[str, int]) -> None:
    trial = lab.release("canary", components=("api", "web"), waves=waves)
    before = {name: trial.place_of(name).state() for name in waves}
    api, web = (trial.place_of(name) for name in ("api", "web"))
    key = next(part.target.key for part in trial.components if part.name == "api")
    refusing = False

    async def refuse(request: ShiftRequest) -> None:
        nonlocal refusing
        refusing = refusing or request.weights.get("canary") == 50
        if refusing and request.weights == {"stable": 100}:
            raise Rejected("the router refuses the old weights")

    lab.world.hooks[key, "traffic.shift"] = refuse
    lab.world.verdicts[key] = lambda _: BAD if refusing else None
    await trial.start()
    await blocked(trial)
    async with asyncio.timeout(120):
        while web.mark is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert same(web.state(), before["web"])
    assert api.mark is not None
    assert api.state().weight("canary") == 50
    del lab.world.hooks[key, "traffic.shift"]
    await trial.say("resume")
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "RuleFailed")
    assert same(api.state(), before["api"])
    assert lab.world.violations == []


async def test_recreate_drains_what_users_have_left_on_both_ways(lab: Lab) -> None:
    trial = lab.release("recreate")
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    await trial.start()
    assert (await trial.end())[0] == "RolledBack"
    stops = [request for name, request in trial.place.log if name == "workloads.scale"]
    assert [(stop.claim.purpose, stop.replicas, stop.drain_seconds) for stop in stops] == [
        ("release", 0, 30),
        ("undo", 0, 30),
    ]
