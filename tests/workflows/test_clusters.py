"""Targets in clusters that only workers inside them reach, over the queues of these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from tests.temporal import unique
from tests.workflows.fake_world import FakeWorld
from tests.workflows.lab import QUICK, Lab, Trial, a_component, a_lab, a_target
from tests.workflows.test_interruptions import same
from tests.workflows.test_lost_runs import run_janitor
from tests.workflows.test_preflight import inquire
from workflows.contracts.references import ClusterSeen, Described, Surveyed
from workflows.contracts.workers import CONTRACT, Introduction
from workflows.model.status import ReleaseStatus

LONG = {"kind": "canary", "stages": [{"weight": 10, "observe": "30s"}], "watch": QUICK}
NOBODY = "NoWorkerForCluster"


@asynccontextmanager
async def inside(client: Client, queue: str, world: FakeWorld) -> AsyncIterator[None]:
    """The workers inside a cluster: activities only."""
    async with AsyncExitStack() as stack:
        for suffix in ("", ".observe", ".undo"):
            await stack.enter_async_context(
                Worker(
                    client,
                    task_queue=queue + suffix,
                    activities=world.activities(),
                    max_heartbeat_throttle_interval=timedelta(milliseconds=200),
                )
            )
        yield


def far(lab: Lab, queue: str, strategy: str | dict[str, Any] = "canary", *, name: str = "", **more: Any) -> Trial:
    """A release of a target that is reached through a queue."""
    name = name or unique("far")
    target = a_target(a_component("shop", f"{name}-shop", strategy)).model_copy(update={"queue": queue})
    return lab.release(strategy, name=name, targets={"shop": target}, **more)


def waits_for(reason: str) -> Callable[[ReleaseStatus], bool]:
    return lambda status: status.wait is not None and status.wait.reason == reason


async def queues_of(trial: Trial, lab: Lab) -> dict[str, set[str]]:
    """By queue, the activities that the Rollout asked for there."""
    history = await trial.rollout.fetch_history()
    found: dict[str, set[str]] = {}
    for event in history.events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            asked = event.activity_task_scheduled_event_attributes
            found.setdefault(asked.task_queue.name, set()).add(asked.activity_type.name)
    assert lab.queue not in found
    return found


async def test_who_asks_is_told_of_clusters_that_only_workers_inside_them_reach(client: Client, lab: Lab) -> None:
    queue, away = unique("inside"), unique("away")
    reached = {"far": queue, "away": away}
    lab.world.introduction = Introduction(contract=CONTRACT, queues=(away, queue), reached=reached)
    lab.world.surveyed = Surveyed(clusters=(ClusterSeen(cluster="near", is_reached=True),), orphans=("near/shop",))
    far_world = FakeWorld(
        surveyed=Surveyed(clusters=(ClusterSeen(cluster="far", is_reached=True),), orphans=("far/shop",))
    )
    far_world.described["trip"] = Described(replicas=7)
    about = {"namespace": "shop", "deployment": "trip"}
    async with inside(client, queue, far_world):
        seen = await inquire(lab, "clusters", None, Surveyed)
        assert [cluster.cluster for cluster in seen.clusters] == ["near", "far"]
        assert (seen.orphans, seen.silent) == (("far/shop", "near/shop"), (away,))
        assert (await inquire(lab, "deployment", {**about, "cluster": "far"}, Described)).replicas == 7
    with pytest.raises(WorkflowFailureError) as failed:
        await inquire(lab, "deployment", {**about, "cluster": "away"})
    assert isinstance(failed.value.cause, ApplicationError)
    assert (failed.value.cause.type, failed.value.cause.message) == (
        NOBODY,
        "no worker inside cluster away answered; start one there",
    )


async def test_everything_about_a_target_is_done_on_its_clusters_queue(client: Client, lab: Lab) -> None:
    queue = unique("inside")
    async with inside(client, queue, lab.world):
        good = far(lab, queue)
        await good.start()
        assert (await good.end())[0] == "Succeeded"
        asked = await queues_of(good, lab)
        assert asked[f"{queue}.observe"] == {"metrics.observe"}
        assert {"targets.capture", "traffic.shift", "checks.run", "targets.settle"} <= asked[queue]
        bad = far(lab, queue, LONG)
        before = bad.place.state()
        await bad.start()
        await bad.until(lambda status: status.phase == "Observing")
        await bad.say("abort")
        assert (await bad.end())[0] == "Aborted"
        assert "targets.acquire" in (await queues_of(bad, lab))[f"{queue}.undo"]
        assert same(bad.place.state(), before)


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        (Introduction(contract=CONTRACT - 1, version="0.0.9", clusters=("local",)), "(0.0.9) speaks contract 0"),
        (Introduction(contract=CONTRACT, clusters=("other",)), "it reaches other"),
    ],
    ids=["too-old", "other-cluster"],
)
async def test_a_worker_that_will_not_do_is_refused_before_anything_is_touched(
    client: Client, lab: Lab, worker: Introduction, words: str
) -> None:
    queue = unique("inside")
    there = FakeWorld(places=lab.world.places, introduction=worker)
    async with inside(client, queue, there):
        trial = far(lab, queue)
        await trial.start()
        with pytest.raises(WorkflowFailureError) as refused:
            await trial.release.result()
    cause = refused.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "PreflightFailed"
    assert words in cause.message
    assert trial.place.log == []


async def test_the_janitor_and_rollbacks_ask_the_workers_of_every_cluster(client: Client) -> None:
    async with a_lab(client) as lab:
        queue, away = unique("inside"), unique("away")
        there = FakeWorld()
        async with inside(client, queue, there):
            lab.world.introduction = Introduction(contract=CONTRACT, clusters=("local",), queues=(queue, away))
            # What is there is known to the workers inside only.
            home, lab.world.places = lab.world.places, there.places
            lost = far(lab, queue)
            lab.world.places = home
            trial_place = there.places[lost.components[0].target.key]
            before = trial_place.state()
            stopped = asyncio.Event()
            there.hooks[lost.components[0].target.key, "traffic.shift"] = lambda _: _forever(stopped)
            await lost.start()
            await stopped.wait()
            run = (await lost.rollout.describe()).run_id
            await lost.release.terminate()
            await lost.rollout.terminate()
            there.closed_runs.add(run)
            del there.hooks[lost.components[0].target.key, "traffic.shift"]

            assert await run_janitor(lab) == 1

            await lost.rollout.result()
            assert same(trial_place.state(), before)


async def _forever(reached: asyncio.Event) -> None:
    reached.set()
    await asyncio.Event().wait()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_cluster_without_workers_is_named_and_everything_goes_on_when_they_are_back(
    client: Client, lab: Lab
) -> None:
    """One minute without workers, which is what it takes to notice, for releases at every kind of moment."""
    queue = unique("inside")
    going = far(lab, queue, LONG)
    aborted = far(lab, queue, LONG)
    abandoned = far(lab, queue, LONG)
    undoing = [aborted, abandoned]
    before = {trial.name: trial.place.state() for trial in (going, aborted, abandoned)}
    async with inside(client, queue, lab.world):
        for trial in (going, *undoing):
            await trial.start()
            await trial.until(lambda status: status.phase == "Observing" and status.components[0].weight > 0)
    early = far(lab, queue)
    await early.start()

    for trial in (going, *undoing):
        held = await trial.until(waits_for(NOBODY))
        assert held.phase == "Paused"
        assert queue in (held.wait.message if held.wait else "")
        assert held.wait is not None
        assert held.wait.until is not None
    described = await going.release.describe()
    assert "HeadgateWaitingFor" in str(described.search_attributes)
    assert NOBODY in str(described.search_attributes)
    assert (await early.end())[0] == "PreflightFailed"
    assert early.place.log == []

    for trial in undoing:
        await trial.say("abort")
        await trial.until(lambda status: status.phase == "RollingBack" and waits_for("UndoBlocked")(status))
    await abandoned.say("abandonUndo", reason="that cluster is gone")
    outcome, result = await abandoned.end()
    assert (outcome, result["reason"]) == ("Failed", "UndoAbandoned")
    assert abandoned.place.mark is not None

    async with inside(client, queue, lab.world):
        assert (await aborted.end())[0] == "Aborted"
        assert same(aborted.place.state(), before[aborted.name])
        assert aborted.place.mark is None
        assert (await going.end())[0] == "Succeeded"
    assert lab.world.violations == []
