"""What Envoy adds: real requests follow the weights, and a write that dies half way heals."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import aiohttp
import pytest

from activities.clusters.envoy.routes import RouteFile, units
from tests.activities.world import Load, Run, World, a_template
from workflows.contracts.traffic import VerifyRequest
from workflows.model.target import Backend, Claim, Target

V1, V2 = a_template("v1"), a_template("v2")


@pytest.fixture
def target(routed: World) -> Target:
    return routed.target(match=[{"header": "canary", "exact": "true"}], preview={"host": "next.example.com"})


@pytest.fixture
def run(routed: World) -> Run:
    return routed.run()


@pytest.fixture
async def claim(routed: World, run: Run, target: Target) -> Claim:
    """Both versions are ready, all users are on v1."""
    claim = await routed.capture(run, target)
    await asyncio.gather(
        routed.deploy(run, target, claim, slot="stable", template=V1, replicas=1),
        routed.deploy(run, target, claim, slot="canary", template=V2, replicas=1),
    )
    await routed.shift(run, target, claim, {"stable": 100})
    return claim


async def ask(world: World, count: int = 1, **headers: str) -> Counter[tuple[str, int]]:
    answers: Counter[tuple[str, int]] = Counter()
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            async with session.get(world.url, headers=headers) as answer:
                served = answer.headers.get("x-version", answer.headers.get("x-headgate", ""))
                answers[served, answer.status] += 1
    return answers


async def test_a_route_without_releases_says_so(routed: World) -> None:
    assert await ask(routed) == {("unrouted", 503): 1}


async def test_users_follow_the_weights_at_once(routed: World, run: Run, target: Target, claim: Claim) -> None:
    for share in (0, 100, 0):
        await routed.shift(run, target, claim, {"stable": 100 - share, "canary": share})
        assert await ask(routed, 50) == {("v2" if share else "v1", 200): 50}
    await routed.shift(run, target, claim, {"stable": 80, "canary": 20})
    answers = await ask(routed, 600)
    assert 70 < answers["v2", 200] < 170


async def test_a_match_and_the_preview_host_reach_the_new_version_alone(
    routed: World, run: Run, target: Target, claim: Claim
) -> None:
    assert await ask(routed, canary="true") == {("v1", 200): 1}
    await routed.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    assert await ask(routed, canary="true") == {("v2", 200): 1}
    assert await ask(routed, canary="false") == {("v1", 200): 1}
    assert await ask(routed, Host="next.example.com") == {("v2", 200): 1}
    assert await ask(routed, 20) == {("v1", 200): 20}
    await routed.shift(run, target, claim, {"stable": 100})
    assert await ask(routed, canary="true", Host="next.example.com") == {("v1", 200): 1}


async def test_maintenance_answers_and_lets_previews_through(
    routed: World, run: Run, target: Target, claim: Claim
) -> None:
    await routed.shift(run, target, claim, {"maintenance": 100}, preview_to="canary")
    async with aiohttp.ClientSession() as session, session.get(routed.url) as answer:
        assert (answer.status, answer.headers["x-headgate"]) == (503, "maintenance")
        assert int(answer.headers["retry-after"]) > 0
    assert await ask(routed, canary="true") == {("v2", 200): 1}


async def test_maintenance_can_take_a_share(routed: World, run: Run, target: Target, claim: Claim) -> None:
    shifted = await routed.shift(run, target, claim, {"stable": 70, "maintenance": 30})
    assert shifted.verification == "verified"
    answers = await ask(routed, 500)
    assert 100 < answers["maintenance", 503] < 200


async def test_a_backend_that_envoy_finds_dead_is_not_verified(
    routed: World, run: Run, target: Target, claim: Claim
) -> None:
    await routed.shift(run, target, claim, {"stable": 50, "canary": 50})
    await routed.deploy(run, target, claim, slot="canary", template=V2, replicas=0)
    verified = await run.call(routed.traffic.verify, VerifyRequest(target=target, weights={"stable": 50, "canary": 50}))
    assert (verified.verification, "no healthy endpoint of canary" in verified.message) == ("notYet", True)


async def test_without_envoy_a_shift_is_written_but_not_verified(
    routed: World, run: Run, target: Target, claim: Claim
) -> None:
    routed.stop_envoy()
    routed.rebuild(routed.envoy, routed.runs, patience=0.2)
    shifted = await routed.shift(run, target, claim, {"stable": 50, "canary": 50})
    assert shifted.verification == "notYet"
    assert "is the Envoy running?" in shifted.message
    routed.start_envoy()
    verified = await run.call(routed.traffic.verify, VerifyRequest(target=target, weights=shifted.state.weights))
    assert verified.verification == "verified"


@pytest.mark.parametrize("how", ["retry", "takeover", "restart"])
async def test_a_write_that_died_before_envoy_saw_it_heals(
    routed: World, run: Run, target: Target, claim: Claim, *, how: str
) -> None:
    route = RouteFile(routed.envoy, "trip")
    derived = route.configuration.read_text()
    weights: dict[Backend, float] = {"stable": 40, "canary": 60}
    await routed.shift(run, target, claim, weights)
    route.configuration.write_text(derived)
    if how == "retry":
        await routed.shift(run, target, claim, weights)
    elif how == "takeover":
        await routed.capture_undo(run, target)
    else:
        routed.stop_envoy()
        routed.start_envoy()
    written = json.loads(route.configuration.read_text())["version_info"]
    assert written == route.file.read().version
    found = await routed.routers.get("envoy").verify(target, weights, patience=10)
    assert found.verification == "verified", found.message


async def test_the_same_shift_again_writes_nothing(routed: World, run: Run, target: Target, claim: Claim) -> None:
    route = RouteFile(routed.envoy, "trip")
    before = route.configuration.stat().st_ino
    await routed.shift(run, target, claim, {"stable": 100})
    assert route.configuration.stat().st_ino == before


async def test_the_version_that_envoy_reports_names_the_epoch(
    routed: World, run: Run, target: Target, claim: Claim
) -> None:
    undo = await routed.capture_undo(run, target)
    await routed.shift(run, target, undo, {"canary": 100})
    assert RouteFile(routed.envoy, "trip").file.read().version == f"{undo.epoch}-2"


async def test_nothing_is_lost_while_everything_moves(routed: World, run: Run, target: Target, claim: Claim) -> None:
    routed.use_real_times()
    async with Load(routed.url) as load:
        for share in (5, 50, 100):
            await routed.shift(run, target, claim, {"stable": 100 - share, "canary": share})
            await load.reach(load.total + 500)
        # Nobody is on stable any more: it is replaced, users come back, and the canary goes.
        result = await routed.deploy(run, target, claim, slot="stable", template=a_template("v3"), replicas=2)
        assert result.ready, result.message
        await routed.shift(run, target, claim, {"stable": 100})
        await routed.retire(run, target, claim)
        await load.reach(load.total + 500)
        # In place, under all the load.
        result = await routed.deploy(run, target, claim, slot="stable", template=a_template("v4"), replicas=2)
        assert result.ready, result.message
        await routed.deploy(run, target, claim, slot="stable", template=a_template("v4"), replicas=1)
        await load.reach(max(6000, load.total + 500))
    assert load.lost == {}
    assert {version for version, _ in load.answers} == {"v1", "v2", "v3", "v4"}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"stable": 100}, {"stable": 10_000}),
        ({"stable": 99.99, "canary": 0.01}, {"stable": 9_999, "canary": 1}),
        ({"stable": 66.667, "canary": 33.333}, {"stable": 6_667, "canary": 3_333}),
        ({"canary": 33.333, "maintenance": 66.667}, {"canary": 3_333, "maintenance": 6_667}),
        ({"stable": 0, "canary": 100}, {"canary": 10_000}),
        ({}, {}),
    ],
    ids=str,
)
def test_weights_are_rounded_down_and_nobody_is_lost(
    weights: dict[Backend, float], expected: dict[Backend, int]
) -> None:
    assert units(weights) == expected
