"""Workers are killed at random moments, two at a time; nothing starts twice, nothing is forgotten."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

from activities.clusters.envoy.routes import RouteFile
from activities.clusters.local import processes
from activities.clusters.local.state import Instance, Service
from tests.activities.workloads.driver import drive
from tests.activities.world import World, a_template
from workflows.contracts.workloads import RetireRequest

ROUNDS = 14
V9 = a_template("v9")


def tokens(world: World) -> Counter[str]:
    """How many processes lead a session under each token."""
    found: Counter[str] = Counter()
    for pid in world.running():
        with suppress(OSError):
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            found.update(v.decode() for v in variables if v.startswith(processes.TOKEN.encode()))
    return found


def logs(service: Service) -> set[str]:
    """Tokens that have a log."""
    return {path.stem for path in (service.directory / "logs").iterdir()}


def drafts(directory: Path) -> list[Path]:
    """Files that were being written."""
    return list(directory.rglob(".*.new"))


async def test_killed_workers_start_nothing_twice_and_forget_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("HEADGATE_SEED", random.randrange(10**6)))
    print(f"HEADGATE_SEED={seed}")
    dice = random.Random(seed)
    workers = multiprocessing.get_context("forkserver")
    workers.set_forkserver_preload(["tests.activities.workloads.driver"])
    world = World(tmp_path)
    try:
        run, target = world.run(), world.target()
        claim = await world.capture(run, target)
        service = Service(world.directory / "services", "test", "trip")
        for _ in range(ROUNDS):
            route = world.envoy.model_dump(mode="json")
            pair = [
                workers.Process(target=drive, args=(tmp_path, route, claim, dice.randrange(10**6))) for _ in range(2)
            ]
            for worker in pair:
                worker.start()
            for worker in pair:
                await asyncio.sleep(dice.uniform(0.02, 0.35))
                worker.kill()
                worker.join()
            doubled = {token: count for token, count in tokens(world).items() if count > 1}
            assert doubled == {}, seed

        result = await world.deploy(run, target, claim, slot="stable", template=V9, replicas=2)
        assert result.ready, result.message
        await run.call(
            world.workloads.retire, RetireRequest(target=target, claim=claim, slot="canary", drain_seconds=0.2)
        )
        instances: list[Instance] = list(service.file.read().instances.values())
        assert sorted(world.running()) == sorted(i.pid or 0 for i in instances)
        assert {i.digest for i in instances} == {V9.digest}
        assert logs(service) == {i.token for i in instances}
        listed = service.endpoints("stable").read_text()
        assert all(f'"port_value": {i.port}' in listed for i in instances)

        await world.capture_undo(run, target)
        file = RouteFile(world.envoy, "trip")
        assert json.loads(file.configuration.read_text())["version_info"] == file.file.read().version
        assert drafts(tmp_path) == []
    finally:
        world.close()
