"""Whatever stops a release at whatever step: it ends at the baseline or as asked, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import Client

from tests.workflows.lab import PATIENCE, STRATEGIES, Holding, Lab, Trial, a_lab
from workflows.model.target import SlotState, TargetState

COMMITTED = 2
"""A pause holds nothing back before the one activity after commit, and may come too late before the one ahead of it."""
Stop = Callable[[Trial], Awaitable[object]]


async def _abort(trial: Trial) -> None:
    await trial.say("abort", reason="enough")


async def _abort_by_signal(trial: Trial) -> None:
    status = await trial.status()
    await trial.release.signal("abort", {"firstRunId": status.first_run_id, "by": "ann@example.com"})


async def _cancel(trial: Trial) -> None:
    await trial.release.cancel()


async def _terminate_release(trial: Trial) -> None:
    await trial.release.terminate()


async def _terminate_rollout(trial: Trial) -> None:
    await trial.rollout.terminate()


async def _cancel_rollout(trial: Trial) -> None:
    await trial.rollout.cancel()


STOPS: dict[str, tuple[Stop, set[str]]] = {
    "abort": (_abort, {"Aborted"}),
    "abort by signal": (_abort_by_signal, {"Aborted"}),
    "cancel": (_cancel, {"CancelledError"}),
    "cancel of the rollout": (_cancel_rollout, {"Aborted"}),
    "terminate the release": (_terminate_release, {"TerminatedError"}),
    "terminate the rollout": (_terminate_rollout, {"RolledBack"}),
}


async def count_activities(lab: Lab, strategy: str) -> int:
    trial = lab.release(strategy)
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    return sum(name != "metrics.observe" for name, _ in trial.place.log)


async def start_until(trial: Trial, nth: int) -> Holding:
    """Starts a release whose world stands still before the nth activity."""
    holding = await trial.hold_before(nth)
    await trial.start()
    try:
        await asyncio.wait_for(holding.reached.wait(), PATIENCE)
    except TimeoutError:
        history = await trial.rollout.fetch_history()
        failures = [e.workflow_task_failed_event_attributes.failure for e in history.events]
        wedged = [str(f)[:2000] for f in failures if f.message]
        pytest.fail(f"activity {nth} of {trial.name} was never reached: {await trial.status()}, {wedged}")
    return holding


async def interrupt(lab: Lab, strategy: str, nth: int, stop: Stop) -> tuple[Trial, TargetState, str]:
    """Stops the world before the nth activity, interrupts, lets the late write go on, and waits for the end."""
    trial = lab.release(strategy)
    before = trial.place.state()
    holding = await start_until(trial, nth)
    await stop(trial)
    await asyncio.sleep(0.05)
    holding.go.set()
    outcome, _ = await trial.end()
    await settled(trial)
    return trial, before, outcome


async def settled(trial: Trial) -> None:
    """Waits until nobody holds the target's mark any more."""
    for _ in range(1000):
        if trial.place.mark is None:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{trial.name} is still marked: {trial.place.log[-5:]}")


async def until_paused_or_over(trial: Trial) -> None:
    """Waits until the Rollout has got its pause, unless it is committed and ends."""
    while (await trial.rollout_status()).phase not in ("Paused", "Succeeded"):  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def same(place_state: TargetState, before: TargetState) -> bool:
    wanted = {k: (v.template, v.replicas, v.ready) for k, v in before.slots.items()}
    return {k: (v.template, v.replicas, v.ready) for k, v in place_state.slots.items()} == wanted and (
        place_state.traffic == before.traffic
    )


def is_promoted(after: TargetState, version: str = "v2", replicas: int = 4) -> bool:
    """Whether everybody is served by the whole new version, and by nothing else."""
    stable = after.slot("stable")
    return (
        stable.template is not None
        and stable.template.version == version
        and (stable.replicas, stable.ready) == (replicas, {stable.template.digest: replicas})
        and (after.traffic is None or {k: v for k, v in after.traffic.weights.items() if v} == {"stable": 100})
        and (after.traffic is None or after.traffic.preview_to is None)
        and after.slot("canary") == SlotState()
    )


@pytest.mark.parametrize("how", STOPS)
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_release_stopped_at_any_step_ends_at_its_baseline_or_done(
    client: Client, strategy: str, how: str
) -> None:
    stop, outcomes = STOPS[how]
    async with a_lab(client) as lab:
        steps = await count_activities(lab, strategy)
        trials = await asyncio.gather(*(interrupt(lab, strategy, nth, stop) for nth in range(steps)))
        for nth, (trial, before, outcome) in enumerate(trials):
            after = trial.place.state()
            at = f"{strategy}, {how}, before activity {nth}: {outcome}, {trial.place.called}"
            if same(after, before):
                assert outcome in outcomes | {"Succeeded"}, at
            else:
                stable = after.slot("stable")
                assert stable.template, at
                assert stable.template.version == "v2", at
                assert after.weight("stable") == 100, at
                assert after.slot("canary").is_empty, at
                assert "targets.settle" in trial.place.called, at
        assert lab.world.violations == []


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_release_paused_at_any_step_moves_nobody_until_it_is_resumed(client: Client, strategy: str) -> None:
    async with a_lab(client) as lab:

        async def one(nth: int) -> str:
            trial = lab.release(strategy)
            holding = await start_until(trial, nth)
            said = await trial.say("pause")
            trial.free(holding)
            await until_paused_or_over(trial)
            paused = (await trial.rollout_status()).phase == "Paused"
            seen, calls = trial.place.state(), len(trial.place.log)
            await asyncio.sleep(0.5)
            at = f"{strategy}, paused before activity {nth}: {said}, {trial.place.called}"
            if paused:
                assert trial.place.state() == seen, at
                assert {name for name, _ in trial.place.log[calls:]} <= {"metrics.observe"}, at
                await trial.say("resume")
            assert (await trial.end())[0] == "Succeeded", at
            assert is_promoted(trial.place.state()), at
            return "paused" if paused else "committed"

        steps = await count_activities(lab, strategy)
        ends = await asyncio.gather(*(one(nth) for nth in range(steps)))
        assert ends[0] == "paused"
        assert ends == sorted(ends, reverse=True)
        assert ends.count("committed") <= COMMITTED
        assert lab.world.violations == []
