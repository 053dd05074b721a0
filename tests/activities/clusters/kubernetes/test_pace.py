"""An API server is never asked more often than the settings say, and nobody who waits for a turn is given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from temporalio import activity
from temporalio.testing import ActivityEnvironment

from activities import beats
from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.kinds import POD
from activities.clusters.kubernetes.pace import Pace
from activities.clusters.kubernetes.settings import KubernetesCluster
from workflows.errors import RateLimited


@dataclass
class Server:
    """An API server that is as busy as it is told."""

    busy: list[dict[str, str]] = field(default_factory=list)
    """Headers of its next refusals."""
    asked: list[float] = field(default_factory=list)

    async def answer(self, _: web.Request) -> web.Response:
        self.asked.append(time.monotonic())
        if self.busy:
            return web.json_response({"message": "too many requests"}, status=429, headers=self.busy.pop(0))
        return web.json_response({"metadata": {"name": "p"}})

    @asynccontextmanager
    async def served(self, folder: Path, **settings: Any) -> AsyncIterator[Api]:
        app = web.Application()
        app.add_routes([web.get("/{rest:.*}", self.answer)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        file = folder / "kubeconfig"
        file.write_text(_kubeconfig(f"http://127.0.0.1:{runner.addresses[0][1]}"))
        api = Api("test", KubernetesCluster(kubeconfig=file, **settings))
        try:
            yield api
        finally:
            await api.close()
            await runner.cleanup()


def _kubeconfig(server: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


def an_activity(queue: str = "q", *before: Any) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info, task_queue=queue, heartbeat_timeout=timedelta(seconds=10), heartbeat_details=before
    )
    return environment


async def test_calls_keep_to_the_rate_after_the_burst(tmp_path: Path) -> None:
    server = Server()
    async with server.served(tmp_path, calls_per_second=50, burst=10) as api:
        await api.get(POD, "n", "p")
        begun = time.monotonic()
        await asyncio.gather(*(api.get(POD, "n", "p") for _ in range(60)))
        taken = time.monotonic() - begun

    assert taken >= (60 - 10) / 50 - 0.05
    for start in server.asked:
        assert sum(start <= at < start + 0.5 for at in server.asked) <= 10 + 25 + 3


async def test_an_undo_goes_before_an_observer_and_both_before_everything_else() -> None:
    turns = Pace(rate=50, burst=1)
    order: list[str] = []

    async def one(queue: str) -> None:
        await an_activity(queue).run(turns.turn)
        order.append(queue)

    await turns.turn()
    waiting = [asyncio.create_task(one(queue)) for queue in ("q", "q", "q.observe", "q.undo", "q", "q.undo")]
    await asyncio.gather(*waiting)

    assert order == ["q.undo", "q.undo", "q.observe", "q", "q", "q"]


async def test_of_two_activities_the_one_that_was_asked_for_first_has_all_of_its_calls_first() -> None:
    turns = Pace(rate=50, burst=1)
    order: list[str] = []

    async def work(name: str, age: float) -> None:
        environment = an_activity()
        asked = datetime.now(UTC) - timedelta(seconds=age)
        environment.info = replace(environment.info, scheduled_time=asked)

        async def calls() -> None:
            for _ in range(3):
                await turns.turn()
                order.append(name)

        await environment.run(calls)

    await turns.turn()
    await asyncio.gather(work("second", 10), work("third", 5), work("first", 20))

    assert order == ["first"] * 3 + ["second"] * 3 + ["third"] * 3


async def test_who_is_cancelled_while_waiting_takes_no_turn() -> None:
    turns = Pace(rate=20, burst=1)
    await turns.turn()
    leaving = [asyncio.create_task(turns.turn()) for _ in range(20)]
    staying = asyncio.create_task(turns.turn())
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()

    async with asyncio.timeout(0.5):
        await staying


async def test_a_busy_server_is_left_alone_by_everybody_for_as_long_as_it_says(tmp_path: Path) -> None:
    server = Server(busy=[{"Retry-After": "1"}])
    async with server.served(tmp_path) as api:
        await asyncio.gather(api.get(POD, "n", "p"), api.get(POD, "n", "p"))
        first, *others = server.asked
        server.asked.clear()
        server.busy = [{}]
        await api.get(POD, "n", "p")

    assert all(at - first < 0.5 or at - first >= 1 for at in others)
    assert max(others) - first >= 1
    assert server.asked[1] - server.asked[0] >= 1


async def test_a_server_that_stays_busy_is_an_error_that_temporal_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.clusters.kubernetes.api._REST", 0.01)
    server = Server(busy=[{}] * 3 + [{"Retry-After": "7"}])
    async with server.served(tmp_path) as api:
        with pytest.raises(RateLimited) as refused:
            await api.get(POD, "n", "p")

    assert refused.value.retry_after == 7


async def test_an_activity_of_many_short_waits_gives_signs_of_life() -> None:
    turns = Pace(rate=50, burst=1)
    environment = an_activity()
    seen: list[Any] = []
    environment.on_heartbeat = lambda *details: seen.append(details)

    async def work() -> None:
        beats.begin()
        for _ in range(10):
            await turns.turn()

    await environment.run(work)

    assert len(seen) >= 9


async def test_an_activity_that_waits_for_its_turn_gives_signs_of_life_and_keeps_its_details(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beats, "EVERY", 0.02)
    turns = Pace(rate=5, burst=1)
    await turns.turn()
    environment = an_activity("q", "from the attempt before")
    seen: list[Any] = []
    environment.on_heartbeat = lambda *details: seen.append(details)

    async def work() -> None:
        beats.begin()
        await turns.turn()
        beats.send(1)
        task = asyncio.create_task(turns.turn())
        await asyncio.sleep(0.05)
        beats.send(2)
        await task

    await environment.run(work)

    assert seen[:2] == [("from the attempt before",)] * 2
    assert seen[-1] == (2,)
    assert (1,) in seen
    assert not activity.in_activity()
