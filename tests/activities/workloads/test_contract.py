"""What every workload provider keeps, whatever it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from activities.boundary import implement
from tests.activities.world import Run, World, a_template
from workflows.contracts.workloads import (
    DeployRequest,
    RetireRequest,
    ScaleRequest,
    WaitReadyRequest,
    WorkloadActivities,
)
from workflows.errors import Fenced, NotFound, Unsupported
from workflows.model.target import Claim, SlotState, Target

V1, V2 = a_template("v1"), a_template("v2")


@pytest.fixture(params=["process", "null", pytest.param("kubernetes", marks=pytest.mark.cluster)])
async def target(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    async with AsyncExitStack() as stack:
        if request.param == "kubernetes":
            await stack.enter_async_context(world.kubernetes(request.getfixturevalue("kubeconfig")))
        yield world.target(workload=request.param, traffic="none")


@pytest.fixture
def run(world: World) -> Run:
    return world.run()


@pytest.fixture
async def claim(world: World, run: Run, target: Target) -> Claim:
    return await world.capture(run, target)


def named(state: SlotState) -> tuple[str, str]:
    """What a slot wants; the body may be another one that runs the same."""
    assert state.template
    return state.template.version, state.template.digest


async def test_a_wish_is_answered_at_once_and_fulfilled_in_time(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    request = DeployRequest(target=target, claim=claim, slot="stable", template=V1, replicas=2)
    wished = await run.call(world.workloads.deploy, request)
    assert (named(wished.state), wished.state.replicas) == (("v1", V1.digest), 2)
    wait = WaitReadyRequest(target=target, claim=claim, slot="stable", replicas=2, timeout_seconds=20)
    result = await run.call(world.workloads.wait_ready, wait)
    assert result.ready, result.message
    assert result.state.ready == {V1.digest: 2}
    assert (await run.call(world.targets._inspect, target)).slot("stable") == result.state


async def test_a_wish_can_wait_for_itself(world: World, run: Run, target: Target, claim: Claim) -> None:
    deploy = DeployRequest(target=target, claim=claim, slot="stable", template=V1, replicas=2, ready_within_seconds=20)
    assert (await run.call(world.workloads.deploy, deploy)).state.ready == {V1.digest: 2}
    scale = ScaleRequest(target=target, claim=claim, slot="stable", replicas=1, ready_within_seconds=20)
    assert (await run.call(world.workloads.scale, scale)).state.ready == {V1.digest: 1}


async def test_the_same_wish_twice_changes_nothing(world: World, run: Run, target: Target, claim: Claim) -> None:
    for _ in range(2):
        await world.deploy(run, target, claim, slot="canary", template=V1, replicas=1)
    state = (await run.call(world.targets._inspect, target)).slot("canary")
    assert (state.replicas, state.ready, state.running) == (1, {V1.digest: 1}, 1)


async def test_slots_are_apart(world: World, run: Run, target: Target, claim: Claim) -> None:
    await world.deploy(run, target, claim, slot="stable", template=V1, replicas=1)
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=2)
    state = await run.call(world.targets._inspect, target)
    assert [state.slot(slot).ready for slot in ("stable", "canary")] == [{V1.digest: 1}, {V2.digest: 2}]


async def test_another_template_replaces_the_slot(world: World, run: Run, target: Target, claim: Claim) -> None:
    await world.deploy(run, target, claim, slot="stable", template=V1, replicas=2)
    result = await world.deploy(run, target, claim, slot="stable", template=V2, replicas=2)
    assert result.ready, result.message
    assert result.state.is_purely(V2.digest)


async def test_scaling_changes_the_number_only(world: World, run: Run, target: Target, claim: Claim) -> None:
    await world.deploy(run, target, claim, slot="stable", template=V1, replicas=1)
    for replicas in (3, 1, 0):
        await run.call(
            world.workloads.scale, ScaleRequest(target=target, claim=claim, slot="stable", replicas=replicas)
        )
        wait = WaitReadyRequest(target=target, claim=claim, slot="stable", replicas=replicas, timeout_seconds=20)
        result = await run.call(world.workloads.wait_ready, wait)
        assert result.ready, result.message
        assert (named(result.state), result.state.replicas) == (("v1", V1.digest), replicas)
        assert sum(result.state.ready.values()) == replicas


async def test_an_empty_slot_cannot_be_scaled(world: World, run: Run, target: Target, claim: Claim) -> None:
    with pytest.raises(NotFound, match="canary"):
        await run.call(world.workloads.scale, ScaleRequest(target=target, claim=claim, slot="canary", replicas=1))


async def test_not_ready_is_a_value_with_a_reason(world: World, run: Run, target: Target, claim: Claim) -> None:
    wait = WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=1, timeout_seconds=0.1)
    result = await run.call(world.workloads.wait_ready, wait)
    assert not result.ready
    assert "canary" in result.message


async def test_retiring_leaves_an_empty_slot_also_the_second_time(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=2)
    for _ in range(2):
        await run.call(
            world.workloads.retire, RetireRequest(target=target, claim=claim, slot="canary", drain_seconds=1)
        )
        state = (await run.call(world.targets._inspect, target)).slot("canary")
        assert state.is_empty
        assert state.template is None


async def test_every_write_needs_the_exact_claim(world: World, run: Run, target: Target, claim: Claim) -> None:
    await world.deploy(run, target, claim, slot="stable", template=V1, replicas=1)
    await world.capture_undo(run, target)
    before = await run.call(world.targets._inspect, target)
    refused: list[tuple[Callable[..., Awaitable[object]], object]] = [
        (world.workloads.deploy, DeployRequest(target=target, claim=claim, slot="stable", template=V2, replicas=3)),
        (world.workloads.scale, ScaleRequest(target=target, claim=claim, slot="stable", replicas=3)),
        (world.workloads.wait_ready, WaitReadyRequest(target=target, claim=claim, slot="stable", replicas=1)),
        (world.workloads.retire, RetireRequest(target=target, claim=claim, slot="stable")),
    ]
    for method, request in refused:
        with pytest.raises(Fenced, match="undo"):
            await run.call(method, request)
    after = await run.call(world.targets._inspect, target)
    assert after.slots == before.slots


async def test_a_reset_run_cannot_use_the_claim_of_the_run_it_replaces(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    request = DeployRequest(target=target, claim=claim, slot="stable", template=V2, replicas=3)
    with pytest.raises(Fenced, match="another run"):
        await world.run("run-reset").call(world.workloads.deploy, request)
    assert (await run.call(world.targets._inspect, target)).slot("stable").is_empty


def test_the_contract_is_implemented_in_full(world: World) -> None:
    assert len(implement(WorkloadActivities, world.workloads)) == len(WorkloadActivities.__abstractmethods__)


async def test_an_unknown_kind_names_the_known_ones(world: World, run: Run, target: Target, claim: Claim) -> None:
    strange = target.model_copy(update={"workload": {"kind": "nomad", "service": "trip"}})
    with pytest.raises(Unsupported, match="null, process"):
        await run.call(world.targets._inspect, strange)
