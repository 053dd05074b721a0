"""The client against the real workflows and planner, over a world in memory."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from cli.errors import AnotherRelease, CommandError
from cli.names import Ref
from cli.render.follow import snapshots
from cli.snapshot import Snapshot
from cli.visibility import Filter
from tests.cli.real import RealRelease, a_release
from tests.temporal import unique
from workflows.model.status import RolloutStatus


async def started(real: RealRelease, document: dict[str, Any]) -> Ref:
    real.prepare(document)
    return (await real.headgate.start(document)).ref


async def until(real: RealRelease, ref: Ref, phase: str) -> Snapshot:
    async with asyncio.timeout(120):
        async for snapshot in snapshots(real.headgate, ref):
            if snapshot.phase == phase:
                return snapshot
    raise AssertionError(f"it ended before it was {phase}")


async def exposed(real: RealRelease, ref: Ref) -> RolloutStatus:
    """The first component once users reach its new version."""
    async with asyncio.timeout(120):
        async for snapshot in snapshots(real.headgate, ref):
            if snapshot.status and snapshot.status.components and snapshot.status.components[0].weight:
                return snapshot.status.components[0]
    raise AssertionError("it ended before users reached it")


async def past(real: RealRelease, ref: Ref, wanted: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """What is listed, once it is as wanted or after two minutes: visibility is written after the fact."""
    found: list[tuple[str, str, str]] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(120):
            while found != wanted:
                runs = await real.headgate.list(Filter(ref=ref, closed=True, rollbacks=True))
                found = [(run.kind, run.known.version, run.outcome) for run in runs]
                await asyncio.sleep(0.1)
    return found


async def test_a_good_release_succeeds(real: RealRelease) -> None:
    ref = await started(real, a_release(unique("shop")))
    ending = await real.headgate.wait(ref)
    assert (ending.outcome, ending.exit_code) == ("Succeeded", 0)
    assert ending.result
    assert ending.result.version == "v2"


async def test_status_shows_stages_weights_and_the_rollout(real: RealRelease) -> None:
    ref = await started(real, a_release(unique("shop"), observe="1h"))
    component = await exposed(real, ref)
    assert component.stages == (10, 50)
    assert component.verified == {"stable": 90, "canary": 10}
    assert component.need_seconds == 3600
    assert component.rollout_id == f"rollout/local/default/process/{ref.name}"
    await real.headgate.abort(ref, by="ann")
    assert (await real.headgate.wait(ref)).outcome == "Aborted"


async def test_two_approvers_open_the_gate_and_others_do_not(real: RealRelease) -> None:
    document = a_release(unique("shop"), environment="production", approval="production")
    ref = await started(real, document)
    snapshot = await until(real, ref, "Waiting")
    assert snapshot.status
    assert [gate.name for gate in snapshot.status.gates if gate.state == "open"] == ["production"]
    with pytest.raises(CommandError, match="Cannot approve .*: eve@example.com is in none of the groups"):
        await real.headgate.approve(ref, "production", by="eve@example.com")
    await real.headgate.approve(ref, "production", by="ann@example.com")
    await real.headgate.approve(ref, snapshot.status.gates[0].instance, by="bob@example.com")
    assert (await real.headgate.wait(ref)).outcome == "Succeeded"


async def test_a_rejection_after_traffic_moved_undoes_the_release(real: RealRelease) -> None:
    ref = await started(real, a_release(unique("shop"), environment="production", approval="production"))
    await until(real, ref, "Waiting")
    await real.headgate.reject(ref, "production", by="ann@example.com", comment="not today")
    ending = await real.headgate.wait(ref)
    assert (ending.outcome, ending.reason, ending.exit_code) == ("RolledBack", "ApprovalRejected", 3)
    assert all(place.traffic and place.traffic.weights == {"stable": 100} for place in real.world.places.values())


async def test_pause_resume_and_advance(real: RealRelease) -> None:
    ref = await started(real, a_release(unique("shop"), observe="1h"))
    await until(real, ref, "Observing")
    await real.headgate.pause(ref, by="ann")
    paused = await until(real, ref, "Paused")
    assert paused.status
    with pytest.raises(CommandError, match="stale"):
        await real.headgate.resume(ref, by="ann", sequence=paused.status.sequence - 1)
    await real.headgate.resume(ref, by="ann")
    await until(real, ref, "Observing")
    await real.headgate.advance(ref, by="ann", full=True)
    assert (await real.headgate.wait(ref)).outcome == "Succeeded"


async def test_the_same_document_joins_and_another_supersedes(real: RealRelease) -> None:
    name = unique("shop")
    document = a_release(name, observe="1h")
    ref = await started(real, document)
    await until(real, ref, "Observing")
    assert (await real.headgate.start(document)).joined
    other = a_release(name, version="v3")
    with pytest.raises(AnotherRelease, match="is releasing v2 now"):
        await real.headgate.start(other)
    assert (await real.headgate.start(other, supersede=True)).superseded == "v2"
    ending = await real.headgate.wait(ref)
    assert ending.result
    assert (ending.outcome, ending.result.version) == ("Succeeded", "v3")


async def test_a_document_that_policy_refuses_ends_with_2_and_its_problems(real: RealRelease) -> None:
    document = a_release(unique("shop"), environment="nowhere")
    ref = (await real.headgate.start(document)).ref
    ending = await real.headgate.wait(ref)
    assert (ending.outcome, ending.exit_code) == ("PolicyRefused", 2)
    assert ending.problems[0].path == "spec.environment"


@pytest.mark.parametrize("mistakes", [8_000, 20_000])
async def test_a_document_of_thousands_of_mistakes_ends_with_the_first_of_them(
    real: RealRelease, mistakes: int
) -> None:
    """Through Temporal's own command line; `headgate start` would not send it."""
    name = unique("shop")
    document = a_release(name)
    document["spec"]["components"][0] |= {f"field{number}": 1 for number in range(mistakes)} | {"x" * 500_000: 1}
    await real.client.start_workflow("Release", document, id=f"release/test/{name}", task_queue=real.queue)
    ending = await real.headgate.wait(Ref("test", name))
    assert (ending.outcome, ending.exit_code) == ("BadSpec", 2)
    assert "field0" in ending.problems[0].path
    assert "more problems; `headgate validate` names them all" in ending.problems[-1].message


async def test_a_rollback_returns_to_what_ran_before(real: RealRelease) -> None:
    real.world.speed = 1000  # A return is watched for two minutes.
    name = unique("shop")
    ref = await started(real, a_release(name))
    await real.headgate.wait(ref)
    await real.headgate.start(a_release(name, version="v3"))
    await real.headgate.wait(ref)
    back = (await real.headgate.rollback(ref, "v2", reason="orders are lost", by="ann")).ref
    ending = await real.headgate.wait(back)
    assert ending.outcome == "Succeeded", ending.message
    wanted = [
        ("Rollback", "v2", "Succeeded"),
        ("Release", "v3", "Succeeded"),
        ("Release", "v2", "Succeeded"),
    ]
    assert await past(real, ref, wanted) == wanted
    unknown = await real.headgate.rollback(ref, "v9", reason="try", by="ann")
    assert (await real.headgate.wait(unknown.ref)).exit_code != 0
