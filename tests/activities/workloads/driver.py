"""A worker that never stops changing its mind, to be killed at any moment."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.activities.world import Run, World, a_template
from workflows.contracts.traffic import ShiftRequest
from workflows.contracts.workloads import DeployRequest, RetireRequest, ScaleRequest
from workflows.errors import NotFound, NotReady
from workflows.model.target import SLOTS, Claim, Target


def drive(directory: Path, route: dict[str, object], claim: Claim, seed: int) -> None:
    """Works on the target of a world until the process is killed."""
    asyncio.run(_drive(directory, route, claim, random.Random(seed)))


async def _drive(directory: Path, route: dict[str, object], claim: Claim, dice: random.Random) -> None:
    world = World(directory)
    world.rebuild(type(world.envoy).model_validate(route), world.runs, patience=0)
    target = world.target().model_copy(update={"drain_seconds": 0.2})
    run = Run(claim.workflow_id, claim.run_id)
    while True:
        try:
            await _change(world, run, target, claim, dice=dice)
        except (NotFound, NotReady):
            continue


async def _change(world: World, run: Run, target: Target, claim: Claim, *, dice: random.Random) -> None:
    slot, replicas, wait = dice.choice(SLOTS), dice.randint(1, 3), dice.choice([None, 1.0])
    match dice.choice(["deploy", "deploy", "scale", "retire", "shift"]):
        case "deploy":
            template = a_template(f"v{dice.randint(1, 3)}")
            await run.call(
                world.workloads.deploy,
                DeployRequest(
                    target=target,
                    claim=claim,
                    slot=slot,
                    template=template,
                    replicas=replicas,
                    max_surge=dice.randint(0, 2),
                    ready_within_seconds=wait,
                ),
            )
        case "scale":
            scale = ScaleRequest(target=target, claim=claim, slot=slot, replicas=replicas, ready_within_seconds=wait)
            await run.call(world.workloads.scale, scale)
        case "retire":
            retire = RetireRequest(target=target, claim=claim, slot="canary", drain_seconds=0.2)
            await run.call(world.workloads.retire, retire)
        case _:
            share = dice.randint(0, 100)
            shift = ShiftRequest(target=target, claim=claim, weights={"stable": 100 - share, "canary": share})
            await run.call(world.traffic.shift, shift)
