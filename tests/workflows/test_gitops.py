"""Git behind a release: who waits for it, how long, and what stands meanwhile."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.workflows.lab import STRATEGIES, Lab, Trial
from tests.workflows.test_interruptions import same
from workflows.contracts.metrics import ObserveRequest
from workflows.model.decision import Decision
from workflows.model.status import ReleaseStatus
from workflows.model.target import Sync

PAUSED = (Sync(name="shop", namespace="argocd", paused=True, automated={}),)
BEHIND = "Git at 1234 differs from Deployment shop"


def beside_git(lab: Lab, strategy: str = "canary", **plan: float) -> Trial:
    """A release of a target whose sync is paused, and a Git that names the old version."""
    trial = lab.release(strategy, **plan)  # type: ignore[arg-type]
    trial.place.syncs = PAUSED
    lab.world.behind[trial.components[0].target.key] = BEHIND
    return trial


async def waiting(trial: Trial) -> None:
    status = await trial.until(lambda status: status.wait is not None and status.wait.reason == "GitBehind")
    assert status.phase == "Waiting"
    assert status.wait is not None
    assert BEHIND in status.wait.message
    assert status.wait.until is not None


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_promoted_version_is_watched_until_git_names_it(lab: Lab, strategy: str) -> None:
    trial = beside_git(lab, strategy)
    await trial.start()
    await waiting(trial)
    assert trial.place.mark is not None
    assert trial.place.slots["stable"].template_version == "v2"
    described = await trial.rollout.describe()
    pending = [item.activity_type.name for item in described.raw_description.pending_activities]
    assert "metrics.observe" in pending
    lab.world.behind.clear()
    assert (await trial.end())[0] == "Succeeded"
    assert trial.place.mark is None


async def test_a_git_that_nobody_brings_up_to_date_brings_the_release_back(lab: Lab) -> None:
    trial = beside_git(lab, hold_seconds=1.0)
    before = trial.place.state()
    await trial.start()
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "GitBehind")
    assert same(trial.place.state(), before)


async def test_a_wait_for_git_over_several_runs_ends_when_it_would_have_in_one(lab: Lab) -> None:
    trial = beside_git(lab, hold_seconds=5.0, history_limit=1)
    before, ends, told = trial.place.state(), set[int](), set[datetime | None]()

    def ending(request: ObserveRequest) -> Decision | None:
        """The first segments of the wait end at once, and with each of them a run."""
        if "targets.await_git" in trial.place.called and len(ends) < 3:
            ends.add(request.segment)
            return Decision(verdict="continue", reason="SegmentEnded")
        return None

    def is_over(status: ReleaseStatus) -> bool:
        if status.wait is not None and status.wait.reason == "GitBehind":
            told.add(status.wait.until)
        return status.phase in ("RollingBack", "RolledBack")

    lab.world.verdicts[trial.components[0].target.key] = ending
    await trial.start()
    await trial.until(is_over)
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "GitBehind")
    assert len(told) == 1
    waits = {request.claim.run_id for name, request in trial.place.log if name == "targets.await_git"}
    assert len(waits) >= 3
    assert [note.event for note in lab.world.notes].count("hold") == 1
    assert same(trial.place.state(), before)


async def test_an_abort_while_git_is_behind_brings_everything_back(lab: Lab) -> None:
    trial = beside_git(lab)
    before = trial.place.state()
    await trial.start()
    await waiting(trial)
    await trial.say("abort")
    assert (await trial.end())[0] == "Aborted"
    assert same(trial.place.state(), before)


async def test_a_release_whose_sync_goes_on_asks_nobody(lab: Lab) -> None:
    trial = beside_git(lab)
    trial.place.syncs = (PAUSED[0].model_copy(update={"paused": False}),)
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    assert "targets.await_git" not in trial.place.called
