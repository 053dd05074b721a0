"""What every router keeps, and what the bridge keeps for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from activities.boundary import implement
from tests.activities.world import Run, World, a_template
from workflows.contracts.traffic import RestoreRequest, ShiftRequest, TrafficActivities, VerifyRequest
from workflows.errors import Fenced, NotReady, Rejected, Unsupported
from workflows.model.target import Backend, Claim, Target, TrafficState

V1, V2 = a_template("v1"), a_template("v2")
PLAIN = ("traefik", "service", "replicas")
"""Routers that lead nobody aside: Traefik's object knows no requests, and the others no routes at all."""


@pytest.fixture
def routed(any_world: World) -> World:
    return any_world


@pytest.fixture
def target(routed: World) -> Target:
    return routed.target()


@pytest.fixture
def run(routed: World) -> Run:
    return routed.run()


@pytest.fixture
async def claim(routed: World, run: Run, target: Target) -> Claim:
    await routed.stable(run, target)
    return await routed.capture(routed.run("run-2"), target)


@pytest.fixture
def second(routed: World) -> Run:
    """The run that holds `claim`."""
    return routed.run("run-2")


async def weights(world: World, run: Run, target: Target) -> dict[Backend, float]:
    traffic = (await run.call(world.targets._inspect, target)).traffic
    return {backend: weight for backend, weight in traffic.weights.items() if weight} if traffic else {}


async def test_weights_are_written_verified_and_read_back(
    routed: World, second: Run, target: Target, claim: Claim
) -> None:
    await routed.deploy(second, target, claim, slot="canary", template=V2, replicas=1)
    for share in (5.0, 33.33, 100.0, 0.0):
        wanted = routed.some(share)
        await routed.bring(second, target, claim, wanted)
        shifted = await routed.shift(second, target, claim, wanted)
        assert shifted.verification == routed.verified, shifted.message
        assert shifted.state.weights == pytest.approx(wanted)
        verified = await second.call(routed.traffic.verify, VerifyRequest(target=target, weights=shifted.state.weights))
        assert verified.verification == routed.verified


async def test_other_weights_than_those_written_are_not_verified(
    routed: World, second: Run, target: Target, claim: Claim
) -> None:
    verified = await second.call(
        routed.traffic.verify, VerifyRequest(target=target, weights={"stable": 50, "canary": 50})
    )
    assert verified.verification == "notYet"
    assert "stable 100%" in verified.message


async def test_nobody_is_sent_to_a_backend_without_ready_endpoints(
    routed: World, second: Run, target: Target, claim: Claim
) -> None:
    with pytest.raises(NotReady, match="0 ready endpoints"):
        await routed.shift(second, target, claim, routed.some(5))
    assert await weights(routed, second, target) == {"stable": 100}


async def test_a_backend_needs_the_minimum_that_was_asked_for(
    routed: World, second: Run, target: Target, claim: Claim
) -> None:
    await routed.deploy(second, target, claim, slot="canary", template=V2, replicas=1)
    if not target.is_counted:  # Where pods are the weight, no weight is left to rise once they are there.
        with pytest.raises(NotReady, match="1 ready endpoints of the 2"):
            await routed.shift(second, target, claim, routed.some(50), minimum_ready={"canary": 2})
    assert (await routed.shift(second, target, claim, routed.some(50))).verification == routed.verified


async def test_maintenance_needs_no_endpoints(routed: World, second: Run, target: Target, claim: Claim) -> None:
    if not routed.maintains:
        with pytest.raises(Unsupported, match="use (traffic of kind|a router)"):
            await routed.shift(second, target, claim, {"maintenance": 100})
        return
    assert (await routed.shift(second, target, claim, {"maintenance": 100})).verification == routed.verified


async def test_a_lower_weight_needs_no_endpoints(routed: World, second: Run, target: Target, claim: Claim) -> None:
    await routed.deploy(second, target, claim, slot="canary", template=V2, replicas=1)
    await routed.shift(second, target, claim, routed.some(50))
    await routed.deploy(second, target, claim, slot="canary", template=V2, replicas=0)
    assert (await routed.shift(second, target, claim, {"stable": 100})).verification == routed.verified


async def test_a_recorded_state_is_restored_to_the_letter(routed: World, run: Run, target: Target) -> None:
    await routed.stable(run, target)
    rich = routed.target()
    if target.traffic["kind"] not in PLAIN:
        rich = routed.target(match=[{"header": "canary", "exact": "true"}], preview={"host": "next.example.com"})
    second = routed.run("run-2")
    claim = await routed.capture(second, rich)
    before = (await second.call(routed.targets._inspect, rich)).traffic
    assert before
    await routed.deploy(second, rich, claim, slot="canary", template=V2, replicas=1)
    aside: dict[str, Any] = {} if target.traffic["kind"] in PLAIN[1:] else {"preview_to": "canary"}
    during = (await routed.shift(second, rich, claim, routed.some(10), **aside)).state
    can_send_nobody = target.traffic["kind"] not in ("contour", "istio", "ingress", "nginx", *PLAIN[1:])
    blank = [TrafficState(weights={})] if can_send_nobody else []
    for state in (before, during, *blank, before):
        await routed.bring(second, rich, claim, state.weights)
        restored = await second.call(routed.traffic.restore, RestoreRequest(target=target, claim=claim, state=state))
        assert restored.verification == routed.verified
        assert (await second.call(routed.targets._inspect, target)).traffic == state


async def test_a_restore_sends_nobody_to_a_dead_backend(
    routed: World, second: Run, target: Target, claim: Claim
) -> None:
    before = (await second.call(routed.targets._inspect, target)).traffic
    assert before
    await routed.deploy(second, target, claim, slot="canary", template=V2, replicas=1)
    await routed.bring(second, target, claim, {"canary": 100})
    await routed.shift(second, target, claim, {"canary": 100})
    await routed.deploy(second, target, claim, slot="stable", template=V1, replicas=0)
    with pytest.raises(NotReady):
        await second.call(routed.traffic.restore, RestoreRequest(target=target, claim=claim, state=before))
    assert await weights(routed, second, target) == {"canary": 100}


async def test_every_write_needs_the_exact_claim(routed: World, second: Run, target: Target, claim: Claim) -> None:
    await routed.capture_undo(second, target)
    state = TrafficState(weights={"canary": 100})
    refused: list[tuple[Callable[..., Awaitable[object]], object]] = [
        (routed.traffic.shift, ShiftRequest(target=target, claim=claim, weights={"canary": 100})),
        (routed.traffic.restore, RestoreRequest(target=target, claim=claim, state=state)),
    ]
    for method, request in refused:
        with pytest.raises(Fenced, match="undo"):
            await second.call(method, request)
    assert await weights(routed, second, target) == {"stable": 100}


async def test_whoever_is_fenced_hears_that_before_anything_else(
    routed: World, second: Run, target: Target, claim: Claim
) -> None:
    await routed.capture_undo(second, target)
    with pytest.raises(Fenced):
        await routed.shift(second, target, claim, {"canary": 100})


async def test_weights_that_do_not_sum_to_a_hundred_are_refused(
    routed: World, second: Run, target: Target, claim: Claim
) -> None:
    with pytest.raises(Rejected, match="sum to 90"):
        await routed.shift(second, target, claim, {"stable": 90})


async def test_unknown_routes_and_routes_of_others_are_refused(
    routed: World, run: Run, strangers: list[tuple[Target, type[Exception], str]]
) -> None:
    for target, error, sentence in strangers:
        with pytest.raises(error, match=sentence):
            await run.call(routed.targets._inspect, target)


async def test_without_a_router_there_is_nothing_to_shift(world: World) -> None:
    target, run = world.target(traffic="none"), world.run()
    claim = await world.capture(run, target)
    assert (await run.call(world.targets._inspect, target)).traffic is None
    with pytest.raises(Unsupported, match="scale its replicas"):
        await world.shift(run, target, claim, {"stable": 100})
    verified = await run.call(world.traffic.verify, VerifyRequest(target=target, weights={"stable": 100}))
    assert verified.verification == "unsupported"


def test_the_contract_is_implemented_in_full(world: World) -> None:
    assert len(implement(TrafficActivities, world.traffic)) == len(TrafficActivities.__abstractmethods__)
