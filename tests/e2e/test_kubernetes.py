"""Whole releases on a real cluster, behind a real data plane, while users never stop asking."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from infra.testbed.bed import Bed
from tests.e2e.land import at
from tests.e2e.metering import a_queue
from tests.e2e.others import SHOP, beside
from tests.e2e.shops import FAULTS
from tests.e2e.site import Site, a_site, inside
from tests.e2e.visitors import Visitors
from tests.temporal import status_of, undone

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(400)]

CANARY: dict[str, Any] = {
    "kind": "canary",
    "stages": [{"weight": 20, "observe": "4s"}, {"weight": 50, "observe": "4s"}],
    "watch": "4s",
}
SERVICE = {"kind": "service", "service": "shop"}
GUEST = Path(__file__).with_name("guest.py")
SLOW = [{"weight": 20, "observe": "40s"}, {"weight": 50, "observe": "4s"}]
ALL = {"kind": "canary", "stages": [{"weight": 50, "observe": "2s"}, {"weight": 100, "observe": "10m"}], "watch": "4s"}


@pytest.fixture
async def site(full_bed: Bed, tmp_path: Path) -> AsyncIterator[Site]:
    async with a_site(full_bed, tmp_path) as made:
        made.shop()
        await made.until_ready()
        yield made


@pytest.mark.parametrize("outcome", ["Succeeded", "Aborted"])
async def test_a_release_and_its_undo_survive_their_worker_and_a_minute_without_api_server(
    site: Site, outcome: str
) -> None:
    """The server goes when half of the users were moved; whichever shift comes next, forward or back, has to wait."""
    before = site.namespace.get(SHOP)["spec"]
    async with Visitors(site.bed.gateway, site.host) as visitors:
        playing = asyncio.create_task(site.play(site.release("1.1.0", CANARY)))
        await asyncio.sleep(1)
        await site.until("shop", lambda status: status["phase"] == "Observing")
        site.workers[0].kill()
        await site.until("shop", at(50))
        site.bed.cluster.stop("kube-apiserver", at_once=True)
        await asyncio.sleep(20)
        if outcome == "Aborted":
            await site.abort()
        await asyncio.sleep(40)
        site.bed.cluster.start("kube-apiserver")
        ended, message = await playing
        assert ended == outcome, message
        assert set(await visitors.next(300)) == {("1.1.0" if outcome == "Succeeded" else "1.0.0", 200)}
    assert visitors.lost == {}
    assert site.namespace.get(f"{SHOP}-canary") is None
    assert outcome == "Succeeded" or site.namespace.get(SHOP)["spec"] == before


async def test_releases_and_undos_survive_workers_that_are_killed_all_the_time(site: Site) -> None:
    async def kill() -> None:
        while True:
            await asyncio.sleep(5)
            await site.replace_worker()

    async with Visitors(site.bed.gateway, site.host) as visitors, beside(kill()):
        assert await site.play(site.release("1.1.0", CANARY)) == ("Succeeded", "1.1.0 takes all traffic")
        assert visitors.lost == {}
        served = site.namespace.get(SHOP)["spec"]
        outcome, message = await site.play(site.release("1.1.1-errors", CANARY))
        assert (outcome, "errors: " in message) == ("RolledBack", True), message
        playing = asyncio.create_task(site.play(site.release("1.0.0", {**CANARY, "watch": "10m"})))
        await asyncio.sleep(1)
        await site.until("shop", lambda status: status["phase"] == "Watching")
        await site.abort()
        assert (await playing)[0] == "Aborted"
        assert set(await visitors.next(300)) == {("1.1.0", 200)}
    killed = [worker for worker in site.workers if worker.returncode == -signal.SIGKILL]
    print(f"{len(killed)} workers killed; lost: {visitors.lost}")
    assert len(killed) >= 3, "one for each release"
    assert {status for _, status in visitors.lost} <= FAULTS
    assert site.namespace.get(SHOP)["spec"] == served
    assert site.namespace.get(f"{SHOP}-canary") is None


async def test_a_person_who_moves_users_in_mid_release_is_not_overruled(site: Site) -> None:
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{site.namespace.name}/httproutes/shop"
    stages = {"kind": "canary", "stages": [{"weight": 20, "observe": "20s"}], "watch": "2s"}
    async with Visitors(site.bed.gateway, site.host) as visitors:
        played = asyncio.create_task(site.play(site.release("1.1.0", stages)))
        await asyncio.sleep(1)
        await site.until("shop", lambda status: status["phase"] == "Observing")
        change = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 1}]
        site.namespace.api.request("PATCH", path, change, kind="application/json-patch+json")
        async with asyncio.timeout(15):
            await site.until("shop", lambda status: (status["wait"] or {}).get("reason") == "ForeignChange")
        handle = site.client.get_workflow_handle("release/test/shop")
        status = await status_of(handle)
        assert "/spec/rules/0/backendRefs was written as shop 80, shop-canary 20 and is shop 1" in str(status["wait"])
        said = {"firstRunId": status["firstRunId"], "sequence": status["sequence"], "by": "ann@example.com"}
        await handle.execute_update("resume", {**said, "takeOver": True})
        assert await played == ("Succeeded", "1.1.0 takes all traffic")
    assert visitors.lost == {}


async def test_an_autoscaler_measures_and_scales_all_through_a_release_and_an_undo(site: Site, tmp_path: Path) -> None:
    """While everybody is on the new version it would take every pod of the old one, and an abort needs them."""
    async with a_queue(site, tmp_path, 60) as queue, Visitors(site.bed.gateway, site.host) as visitors:

        async def until_scaled(number: int) -> None:
            async with asyncio.timeout(90):
                while site.namespace.get(SHOP)["spec"]["replicas"] != number:  # noqa: ASYNC110
                    await asyncio.sleep(0.5)
            await site.until_ready()

        before = site.scale((1, 6))
        played = asyncio.create_task(site.play(site.release("1.1.0", {**CANARY, "stages": SLOW})))
        await asyncio.sleep(1)
        await site.until("shop", at(20))
        queue.length = 100
        await until_scaled(5)
        await site.until("shop", at(50))
        assert site.namespace.get(f"{SHOP}-canary")["spec"]["replicas"] == 3, "half of five"
        assert await played == ("Succeeded", "1.1.0 takes all traffic")
        assert set(await visitors.next(300)) == {("1.1.0", 200)}
        assert (site.namespace.get(SHOP)["spec"]["replicas"], site.autoscaler()) == (5, before)

        played = asyncio.create_task(site.play(site.release("1.0.0", ALL)))
        await asyncio.sleep(1)
        await site.until("shop", at(100))
        queue.length, asked = 0, queue.asked
        while queue.asked < asked + 3:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        assert set(await visitors.next(300)) == {("1.0.0", 200)}
        await site.abort()
        assert (await played)[0] == "Aborted"
        assert set(await visitors.next(300)) == {("1.1.0", 200)}
        assert visitors.lost == {}
        assert site.autoscaler() == before
        await until_scaled(1)


async def test_what_comes_to_a_bad_version_on_open_connections_is_counted_after_the_switch_back(site: Site) -> None:
    address = site.namespace.get("v1/services/shop")["spec"]["clusterIP"]
    command = inside(site.bed, [sys.executable, str(GUEST), address, "1.1.0"])
    guest = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        document = site.release("1.1.1-errors", {"kind": "blueGreen", "watch": "10m"}, traffic=SERVICE, drain="4s")
        result = await undone(await site.start(document))
    finally:
        guest.terminate()
        said, _ = await guest.communicate()
    late = result["components"][0]["late"]
    print(late["message"])
    shifted = await site.first("shop", "traffic.shift", lambda asked: asked["claim"]["purpose"] == "undo")
    met = [at for at in map(float, said.split()) if at > shifted]
    last, until = (datetime.fromisoformat(late[name]).timestamp() for name in ("lastAt", "until"))
    assert 0 < late["count"] <= len(met)
    assert until - shifted > 3
    assert last == pytest.approx(max(at for at in met if at <= until), abs=1.5)


@pytest.mark.parametrize(
    ("kind", "field", "blocked"), [("StatefulSet", "statefulSet", "cart-2"), ("DaemonSet", "daemonSet", "cart")]
)
async def test_pods_with_names_or_nodes_are_replaced_in_place_and_restored_from_a_version_that_never_comes_up(
    site: Site, kind: str, field: str, blocked: str
) -> None:
    name, plural = "cart", f"{kind.lower()}s"
    site.shop(name, kind=kind, **({"serviceName": name} if kind == "StatefulSet" else {}))
    await site.until_ready(name, plural=plural)
    workload = {"kind": "kubernetes", field: name, "namespace": site.namespace.name, "port": 9797}

    def release(version: str, timeout: str) -> dict[str, Any]:
        strategy = {"kind": "rolling", "timeout": timeout, "watch": "4s"}
        return site.release(version, strategy, name, workload=workload)

    async with Visitors(site.bed.gateway, site.host_of(name)) as visitors:
        await visitors.until(("1.0.0", 200))
        assert await site.play(release("1.1.0", "3m")) == ("Succeeded", "1.1.0 takes all traffic")
        served = site.namespace.get(f"apps/v1/{plural}/{name}")["spec"]
        outcome, message = await site.play(release("1.1.4-crash", "25s"))
        assert outcome == "RolledBack", message
        assert blocked in message
        await site.until_ready(name, plural=plural)
        assert set(await visitors.next(100)) == {("1.1.0", 200)}
    assert visitors.lost == {}
    assert site.namespace.get(f"apps/v1/{plural}/{name}")["spec"] == served
