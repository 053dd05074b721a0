"""Whoever asks for the same instances again and again costs a cluster nothing until something moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from activities import watched
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from activities.clusters.local.settings import ProcessSettings
from activities.endpoints import WorkloadEndpoints
from activities.registry import Registry
from activities.watched import WatchedEndpoints
from activities.workloads.protocol import Endpoint
from activities.workloads.registry import workload_providers
from tests.activities.listening import Listened
from tests.cluster import Namespace
from workflows.errors import Unavailable
from workflows.model.target import Slot, Target

AT = Target(component="trip", cluster="local", namespace="n", workload={"kind": "moving", "deployment": "trip"})


class Place(Listened):
    """A provider whose instances change when the test says so, and that is heard or not."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.is_away = False

    @asynccontextmanager
    async def moves(self, _: Target, __: Slot) -> AsyncIterator[Place]:
        if self.is_away:
            raise Unavailable("nobody answers")
        async with self.listening():
            yield self

    async def next(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.moved.wait()
        except TimeoutError:
            return False
        if self.is_away:
            raise Unavailable("nobody answers any more")
        self.moved.clear()
        return True

    async def endpoints(self, _: Target, __: Slot) -> Sequence[Endpoint]:
        self.looks += 1
        return [Endpoint(f"10.0.0.{self.looks}:80", "v1", "d1", str(self.looks))]


@asynccontextmanager
async def watching(place: Place) -> AsyncIterator[WatchedEndpoints]:
    providers: Registry[Any] = Registry("workloads", {"moving": lambda: place})
    made = WatchedEndpoints(place, providers)
    try:
        yield made
    finally:
        await made.close()


async def looks(place: Place, ask: WatchedEndpoints, times: int) -> int:
    """How many of so many questions took a look."""
    before = place.looks
    for _ in range(times):
        await ask.endpoints(AT, "stable")
        await asyncio.sleep(0)
    return place.looks - before


async def test_what_did_not_move_is_not_looked_at_again() -> None:
    place = Place()
    async with watching(place) as ask:
        await looks(place, ask, 3)
        assert await looks(place, ask, 20) == 0
        place.moved.set()
        await asyncio.sleep(0.01)
        assert await looks(place, ask, 20) == 1


async def test_every_question_is_a_look_while_nothing_can_be_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_PAUSE", 0.05)
    place = Place()
    async with watching(place) as ask:
        await looks(place, ask, 3)
        place.is_away = True
        place.moved.set()
        await asyncio.sleep(0.01)
        assert await looks(place, ask, 5) == 5
        place.is_away = False
        await asyncio.sleep(0.1)
        await looks(place, ask, 1)
        assert await looks(place, ask, 5) == 0


async def test_a_connection_that_died_without_a_word_misleads_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "LONGEST", 0.1)
    place = Place()
    async with watching(place) as ask:
        await looks(place, ask, 3)
        await asyncio.sleep(0.15)
        assert await looks(place, ask, 5) == 1


async def test_another_description_of_a_target_is_looked_at_anew() -> None:
    place = Place()
    async with watching(place) as ask:
        await looks(place, ask, 3)
        before = place.looks
        await ask.endpoints(AT.model_copy(update={"workload": {**AT.workload, "port": 9090}}), "stable")
        assert place.looks == before + 1
        assert place.listeners <= 1


async def test_a_slot_that_nobody_asks_for_is_watched_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "IDLE", 0.05)
    place = Place()
    async with watching(place) as ask:
        await looks(place, ask, 3)
        assert place.listeners == 1
        async with asyncio.timeout(5):
            while place.listeners:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.mark.cluster
async def test_pods_that_come_are_seen_and_pods_that_stay_cost_no_call(kubeconfig: Path) -> None:
    namespace = Namespace(kubeconfig)
    clusters = Clusters(KubernetesSettings(clusters={"local": KubernetesCluster(kubeconfig=kubeconfig)}))
    providers = workload_providers(ProcessSettings(), clusters)
    ask = WatchedEndpoints(WorkloadEndpoints(providers), providers)
    workload = {"kind": "kubernetes", "deployment": "trip", "port": 8080}
    target = AT.model_copy(update={"namespace": namespace.name, "workload": workload})
    calls = clusters.get("local").calls

    async def until(count: int) -> None:
        async with asyncio.timeout(30):
            while len(await ask.endpoints(target, "stable")) != count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def quiet() -> None:
        """Statuses settle for a moment after the last pod has come."""
        async with asyncio.timeout(30):
            before = -1
            while before != calls.total():
                before = calls.total()
                for _ in range(10):
                    await ask.endpoints(target, "stable")
                    await asyncio.sleep(0.1)

    try:
        for replicas in (2, 3):
            namespace.deployment(replicas=replicas)
            await until(replicas)
            await quiet()
        assert calls["WATCH pods"] == 1
    finally:
        await ask.close()
        await clusters.close()
        namespace.close()
