"""The guard: a bad version is rolled back from wherever it is, and what is unknown holds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client

from tests.workflows.lab import BAD, STRATEGIES, Lab, a_lab
from tests.workflows.test_interruptions import same
from workflows.contracts.metrics import Beat, ObserveRequest
from workflows.model.decision import Decision, Evidence
from workflows.model.plan import Gate

UNKNOWN = Decision(verdict="hold", reason="NoData", message="errors: no data for two minutes")
SLOW = {"kind": "canary", "stages": [{"weight": 10, "observe": "10m"}], "watch": "1m"}


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_verdict_in_any_segment_rolls_back(client: Client, strategy: str) -> None:
    async with a_lab(client) as lab:
        seen: list[int] = []
        good = lab.release(strategy)
        lab.world.verdicts[good.components[0].target.key] = lambda request: seen.append(request.segment)
        await good.start()
        assert (await good.end())[0] == "Succeeded"

        async def one(nth: int) -> None:
            trial = lab.release(strategy)
            before = trial.place.state()

            def judge(request: ObserveRequest) -> Decision | None:
                return BAD if request.segment >= nth else None

            lab.world.verdicts[trial.components[0].target.key] = judge
            await trial.start()
            outcome, result = await trial.end()
            if outcome == "Succeeded":
                return  # This run needed fewer segments.
            assert (outcome, result["reason"]) == ("RolledBack", "RuleFailed")
            assert same(trial.place.state(), before)
            assert trial.place.kept[-1].outcome == "rolledBack"

        await asyncio.gather(*(one(nth) for nth in range(1, max(seen) + 1)))
        assert lab.world.violations == []


async def test_a_version_that_was_rolled_back_needs_again(lab: Lab) -> None:
    trial = lab.release("rolling", name="again-shop")
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    await trial.start()
    assert (await trial.end())[0] == "RolledBack"
    lab.world.verdicts.clear()
    await trial.start()
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("Rejected", "RolledBackBefore")
    again = lab.release("rolling", name="again-shop", again=True)
    await again.start()
    assert (await again.end())[0] == "Succeeded"


async def test_missing_data_holds_and_neither_promotes_nor_rolls_back(lab: Lab) -> None:
    trial = lab.release("canary")
    key = trial.components[0].target.key
    lab.world.verdicts[key] = lambda request: None if request.holding else UNKNOWN
    await trial.start()
    status = await trial.until(lambda status: status.wait and status.wait.reason == "NoData")
    assert "no data" in status.wait.message  # type: ignore[union-attr]
    await asyncio.sleep(1)
    assert trial.place.state().weight("canary") == 10
    del lab.world.verdicts[key]
    await trial.say("resume")
    assert (await trial.end())[0] == "Succeeded"
    assert {note.event for note in lab.world.notes} >= {"hold"}


async def test_a_held_release_still_rolls_back_when_it_turns_bad(lab: Lab) -> None:
    trial = lab.release("canary")
    key = trial.components[0].target.key
    lab.world.verdicts[key] = lambda request: None if request.holding else UNKNOWN
    await trial.start()
    await trial.until(lambda status: status.wait and status.wait.reason == "NoData")
    lab.world.verdicts[key] = lambda _: BAD
    assert (await trial.end())[0] == "RolledBack"


@pytest.mark.slow
async def test_an_observer_that_dies_after_it_was_told_to_stop_is_replaced(lab: Lab) -> None:
    """The server tries no activity again whose cancellation was asked for: the next segment goes on from its beat."""
    trial = lab.release("canary")
    requests: list[ObserveRequest] = []
    known = Evidence(metrics={"errors": {"seen": 7}})
    over = asyncio.Event()

    async def die(request: ObserveRequest) -> None:
        requests.append(request)
        if len(requests) == 1:
            beat = Beat(segment=request.segment, started=0, evidence=known, observed_seconds=0.01)
            activity.heartbeat(beat.model_dump(mode="json", by_alias=True))
            for _ in range(2):  # Deaf to the cancellation, and silent: as if its worker had been killed.
                with suppress(asyncio.CancelledError):
                    await over.wait()

    lab.world.hooks[trial.components[0].target.key, "metrics.observe"] = die
    await trial.start()
    await trial.until(lambda status: status.phase == "Observing")
    await trial.say("advance")
    outcome, _ = await trial.end()
    over.set()
    assert outcome == "Succeeded"
    assert requests[1].segment == 2
    assert requests[1].evidence == known
    assert "hold" not in {note.event for note in lab.world.notes}


async def test_no_stage_passes_on_time_that_no_observer_passed(lab: Lab) -> None:
    """An observer that is stopped late has seen enough time, but nobody asked whether there were enough requests."""
    trial = lab.release("canary")
    key = trial.components[0].target.key
    asked: list[int] = []
    shifted: list[int] = []

    def judge(request: ObserveRequest) -> Decision | None:
        """In its first three segments with a need it ends after one tick, which is seconds here, and says nothing."""
        if request.need_seconds is None or len(set(asked)) > 3:
            return None
        asked.append(request.segment)
        return Decision(verdict="continue") if asked.count(request.segment) > 1 else None

    async def note(_: Any) -> None:
        shifted.append(len(set(asked)))

    lab.world.verdicts[key] = judge
    lab.world.hooks[key, "traffic.shift"] = note
    lab.world.speed = 100
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    assert shifted[1] > 3


async def test_an_approval_moves_nobody_while_the_release_is_held(lab: Lab) -> None:
    stages = [{"weight": 10, "observe": "150ms"}, {"weight": 50, "observe": "150ms", "approval": "agreed"}]
    strategy = {"kind": "canary", "stages": stages, "watch": "150ms"}
    trial = lab.release(strategy, gates={"agreed": Gate(name="agreed")})
    key = trial.components[0].target.key
    await trial.start()
    await trial.until(lambda status: status.gates)
    lab.world.verdicts[key] = lambda request: None if request.holding else UNKNOWN
    await trial.until(lambda status: status.components[0].wait and status.components[0].wait.reason == "NoData")
    await trial.say("approve", gate="agreed")
    await trial.until(lambda status: status.gates[0].state == "approved")
    await asyncio.sleep(0.5)
    assert trial.place.state().weight("canary") == 10
    del lab.world.verdicts[key]
    assert (await trial.say("resume"))["accepted"]
    assert (await trial.end())[0] == "Succeeded"


async def test_a_hold_that_nobody_answers_ends_in_undo(lab: Lab) -> None:
    trial = lab.release("canary", hold_seconds=0.5)
    lab.world.verdicts[trial.components[0].target.key] = lambda request: None if request.holding else UNKNOWN
    await trial.start()
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "HoldExpired")


async def test_the_guard_watches_through_approvals_and_pauses(lab: Lab) -> None:
    trial = lab.release("canary")
    await trial.start()
    await trial.until(lambda status: status.phase == "Observing")
    await trial.say("pause")
    await asyncio.sleep(0.5)
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    assert (await trial.end())[0] == "RolledBack"


async def test_some_segment_runs_from_the_first_exposure_to_the_end(lab: Lab) -> None:
    """Between two segments there is never more than the time that one workflow task takes."""
    spans: list[tuple[float, float]] = []
    shifts: list[float] = []
    loop = asyncio.get_running_loop()
    trial = lab.release("canary")
    key = trial.components[0].target.key

    def watch(request: ObserveRequest) -> None:
        now = loop.time()
        if not spans or request.segment > len(spans):
            spans.append((now, now))
        spans[-1] = (spans[-1][0], now)

    async def shifted(request: Any) -> None:
        shifts.append(loop.time())

    lab.world.verdicts[key] = watch
    lab.world.hooks[key, "traffic.shift"] = shifted
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    assert spans[0][0] < shifts[0] + 0.5
    gaps = [after[0] - before[1] for before, after in pairwise(spans)]
    assert max(gaps) < 1, gaps
    assert spans[-1][1] > shifts[-1]
