"""What local processes add: they outlive the worker, never start twice, and say why they do not come up."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from activities.clusters.local import processes
from activities.clusters.local.state import Instance, Service
from activities.workloads.process import ProcessWorkloads
from tests.activities.world import Load, Run, World, a_template, until
from workflows.contracts.workloads import DeployRequest, ReadyResult, RetireRequest, ScaleRequest, WaitReadyRequest
from workflows.errors import NotFound, Rejected
from workflows.model.target import Claim, Target, Template

V1 = a_template("v1")


@pytest.fixture
def target(world: World) -> Target:
    return world.target(traffic="none")


@pytest.fixture
def run(world: World) -> Run:
    return world.run()


@pytest.fixture
async def claim(world: World, run: Run, target: Target) -> Claim:
    return await world.capture(run, target)


def service(world: World, target: Target) -> Service:
    return ProcessWorkloads(world.process).service(target)


def instances(world: World, target: Target) -> list[Instance]:
    return list(service(world, target).file.read().instances.values())


def is_there(pid: int) -> bool:
    """Whether the kernel still knows a process, zombies included."""
    return Path(f"/proc/{pid}").exists()


async def settle(world: World, run: Run, target: Target, claim: Claim, *, replicas: int, seconds: float) -> ReadyResult:
    wait = WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=replicas, timeout_seconds=seconds)
    return await run.call(world.workloads.wait_ready, wait)


async def bad(  # noqa: PLR0917 - what every test here has, and its template.
    world: World, run: Run, target: Target, claim: Claim, template: Template, seconds: float
) -> ReadyResult:
    request = DeployRequest(target=target, claim=claim, slot="canary", template=template, replicas=2)
    await run.call(world.workloads.deploy, request)
    return await settle(world, run, target, claim, replicas=2, seconds=seconds)


async def test_instances_survive_the_worker_and_are_found_again(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=2)
    pids = {i.pid for i in instances(world, target)}
    other = World(world.directory)
    result = await other.deploy(run, target, claim, slot="canary", template=V1, replicas=2)
    assert result.ready
    assert {i.pid for i in instances(other, target)} == pids == set(world.running())


async def test_a_killed_instance_is_replaced_and_no_zombie_stays(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=2)
    victim = instances(world, target)[0]
    assert victim.pid
    os.kill(victim.pid, signal.SIGKILL)
    assert await until(lambda: not processes.is_alive(processes.Process(victim.pid or 0, victim.born)))
    assert (await run.call(world.targets._inspect, target)).slot("canary").ready == {V1.digest: 1}
    result = await settle(world, run, target, claim, replicas=2, seconds=20)
    assert result.ready, result.message
    assert victim.token not in {i.token for i in instances(world, target)}
    assert processes.exit_status(victim.pid) == -signal.SIGKILL
    assert not is_there(victim.pid)


async def test_an_intent_whose_writer_died_after_the_start_is_adopted(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=1)
    [before] = instances(world, target)
    with service(world, target).file.edit() as edit:
        edit.state.instances[before.token].pid = None
        edit.state.instances[before.token].born = 0
        edit.save()
    assert (await settle(world, run, target, claim, replicas=1, seconds=20)).ready
    [after] = instances(world, target)
    assert (after.token, after.pid) == (before.token, before.pid)
    assert world.running() == [before.pid]


async def test_an_intent_whose_writer_died_before_the_start_is_made_good(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=1)
    [one] = instances(world, target)
    with service(world, target).file.edit() as edit:
        ghost = one.model_copy(update={"token": "ghost", "pid": None, "born": 0, "ready_since": None})
        edit.state.instances["ghost"] = ghost
        edit.state.wishes["canary"].replicas = 2
        edit.save()
    assert (await settle(world, run, target, claim, replicas=2, seconds=20)).ready
    assert "ghost" not in {i.token for i in instances(world, target)}
    assert len(world.running()) == 2


async def test_a_reused_pid_is_not_mistaken_for_the_instance(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=1)
    [one] = instances(world, target)
    with service(world, target).file.edit() as edit:
        edit.state.instances[one.token].pid = os.getpid()
        edit.save()
    assert (await run.call(world.targets._inspect, target)).slot("canary").ready == {}


async def test_an_instance_gets_nothing_of_the_workers_secrets_or_files(
    world: World, run: Run, target: Target, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_PASSWORD", "hunter2")
    with (world.directory / "open").open("w") as opened:
        os.set_inheritable(opened.fileno(), True)
        await world.deploy(run, target, claim, slot="canary", template=a_template("v1", MOOD="good"), replicas=1)
    [one] = instances(world, target)
    process = Path(f"/proc/{one.pid}")
    environment = (process / "environ").read_bytes()
    assert b"WORKER_PASSWORD" not in environment
    assert {f"PORT={one.port}".encode(), b"VERSION=v1", b"MOOD=good"} <= set(environment.split(b"\0"))
    files = [str(link.readlink()) for link in (process / "fd").iterdir()]
    ours = [name for name in files if str(world.directory) in name]
    assert set(ours) == {str(service(world, target).log(one.token))}


async def test_a_delayed_start_is_waited_for_with_heartbeats(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    started = time.monotonic()
    result = await world.deploy(
        run, target, claim, slot="canary", template=a_template("v1", READY_DELAY="0.6"), replicas=1
    )
    assert result.ready
    assert time.monotonic() - started >= 0.6
    assert run.heartbeats


async def test_a_crash_loop_ends_the_wait_with_the_last_words(tmp_path: Path, run: Run, target: Target) -> None:
    world = World(tmp_path, crash_limit=3)
    claim = await world.capture(run, target)
    result = await bad(world, run, target, claim, a_template("v2", CRASH="start"), 20)
    assert not result.ready
    assert "ended with status 1, saying: fatal: the demo was told to crash" in result.message
    assert "0 of 2" in result.message


async def test_a_program_that_cannot_start_is_named(tmp_path: Path, run: Run, target: Target) -> None:
    world = World(tmp_path, crash_limit=2)
    claim = await world.capture(run, target)
    template = Template(version="v2", digest="gone", body={"program": "gone"})
    result = await bad(world, run, target, claim, template, 20)
    assert "did not start" in result.message
    assert "/no/such/program" in result.message


async def test_an_instance_that_never_gets_ready_is_described(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    result = await bad(world, run, target, claim, a_template("v2", NEVER_READY="1"), 1)
    assert "does not answer /ready with 2xx" in result.message
    assert "v2 listens on" in result.message


async def test_a_full_namespace_gives_partial_capacity_and_says_so(tmp_path: Path, run: Run, target: Target) -> None:
    world = World(tmp_path, limit=3)
    try:
        claim = await world.capture(run, target)
        neighbour = target.model_copy(update={"workload": {"kind": "process", "service": "other"}})
        other = world.run("run-2", workflow_id=neighbour.rollout_id)
        theirs = await world.capture(other, neighbour)
        await world.deploy(other, neighbour, theirs, slot="stable", template=V1, replicas=2)
        result = await bad(world, run, target, claim, V1, 1)
        assert result.state.ready == {V1.digest: 1}
        assert "no more than 3 instances" in result.message
        scale = ScaleRequest(target=neighbour, claim=theirs, slot="stable", replicas=0)
        await other.call(world.workloads.scale, scale)
        gone = WaitReadyRequest(target=neighbour, claim=theirs, slot="stable", replicas=0, timeout_seconds=20)
        assert (await other.call(world.workloads.wait_ready, gone)).ready
        assert (await settle(world, run, target, claim, replicas=2, seconds=20)).ready
    finally:
        world.close()


async def test_a_retried_wait_goes_on_counting(world: World, run: Run, target: Target, claim: Claim) -> None:
    wait = WaitReadyRequest(target=target, claim=claim, slot="canary", replicas=1, timeout_seconds=60)
    started = time.monotonic()
    result = await run.call(world.workloads.wait_ready, wait, resumed_from=60.0)
    assert not result.ready
    assert time.monotonic() - started < 5


async def test_an_instance_with_an_open_request_is_drained_first(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=a_template("v1", LATENCY="1500ms"), replicas=1)
    [one] = instances(world, target)
    async with Load(f"http://127.0.0.1:{one.port}/", users=1) as load:
        await asyncio.sleep(0.2)
        load.finish()
        retire = RetireRequest(target=target, claim=claim, slot="canary", drain_seconds=10)
        await run.call(world.workloads.retire, retire)
    assert dict(load.answers) == {("v1", 200): 1}
    assert world.running() == []


async def test_a_process_that_ignores_the_request_to_stop_is_killed(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=1)
    [one] = instances(world, target)
    assert one.pid
    os.kill(one.pid, signal.SIGSTOP)
    await run.call(world.workloads.retire, RetireRequest(target=target, claim=claim, slot="canary", drain_seconds=0))
    assert world.running() == []


async def test_a_clock_that_was_set_back_stops_nothing(world: World, run: Run, target: Target, claim: Claim) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=2)
    with service(world, target).file.edit() as edit:
        for instance in edit.state.instances.values():
            instance.created_at = instance.ready_since = time.time() + 3600
        edit.save()
    request = ScaleRequest(target=target, claim=claim, slot="canary", replicas=1, ready_within_seconds=10)
    assert (await run.call(world.workloads.scale, request)).ready


async def test_endpoints_name_instance_and_version(world: World, run: Run, target: Target, claim: Claim) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=2)
    found = await world.providers.get("process").endpoints(target, "canary")
    assert {(e.version, e.digest) for e in found} == {("v1", V1.digest)}
    assert {e.address for e in found} == {f"127.0.0.1:{i.port}" for i in instances(world, target)}


async def test_crashed_instances_come_back_without_a_release_where_somebody_keeps_them(
    world: World, run: Run, target: Target, claim: Claim
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V1, replicas=1)
    [one] = instances(world, target)
    provider = ProcessWorkloads(world.process)
    keeping = asyncio.create_task(provider.keep(every=0.05))
    assert one.pid
    os.kill(one.pid, signal.SIGKILL)
    assert await until(lambda: {i.token for i in instances(world, target) if i.is_published} - {one.token, ""})
    keeping.cancel()
    assert len(world.running()) == 1


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param(
            Template(version="v", digest="d", body={"program": "sh"}), "allowed are: demo, gone", id="program"
        ),
        pytest.param(a_template("v", LD_PRELOAD="/tmp/x.so"), "LD_PRELOAD", id="loader"),
        pytest.param(a_template("v", PORT="1"), "PORT", id="port"),
        pytest.param(Template(version="v", digest="d", body={"image": "x"}), "at least a program", id="other body"),
    ],
)
async def test_only_programs_of_the_settings_run(
    world: World, run: Run, target: Target, claim: Claim, *, template: Template, message: str
) -> None:
    request = DeployRequest(target=target, claim=claim, slot="canary", template=template, replicas=1)
    with pytest.raises(Rejected, match=message):
        await run.call(world.workloads.deploy, request)
    assert (await run.call(world.targets._inspect, target)).slot("canary").is_empty


async def test_unknown_clusters_and_odd_names_are_refused(world: World, run: Run, target: Target) -> None:
    with pytest.raises(NotFound, match="it has local"):
        await run.call(world.targets._inspect, target.model_copy(update={"cluster": "mars"}))
    with pytest.raises(Rejected, match="cannot name"):
        await run.call(world.targets._inspect, target.model_copy(update={"namespace": "../../etc"}))
