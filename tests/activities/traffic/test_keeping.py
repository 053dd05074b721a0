"""What a router names is followed through everything that takes long, drains included."""

from __future__ import annotations

import pytest

from activities.registry import Registry
from activities.targets.activities import Targets
from activities.traffic.keeping import Keeping
from activities.traffic.protocol import TrafficRouter
from activities.workloads.activities import Workloads
from tests.activities.metrics.test_observer import Followed
from tests.activities.world import World, a_template
from workflows.contracts.targets import SettleRequest
from workflows.contracts.workloads import RetireRequest, ScaleRequest


@pytest.mark.parametrize("long", ["retire", "settle", "drain"])
async def test_what_a_router_names_is_followed_until_the_last_instance_has_gone(world: World, long: str) -> None:
    world.kinds, said = ("process", "none"), list[str]()
    routers = Registry[TrafficRouter]("traffic", {"none": lambda: Followed(said)})
    workloads, run = Workloads(world.providers, Keeping(routers)), world.run()
    targets = Targets(world.providers, routers, world.runs)
    target = world.target()
    claim = await world.capture(run, target)
    await world.deploy(run, target, claim, slot="canary", template=a_template("v2"), replicas=1)
    retire = RetireRequest(target=target, claim=claim, slot="canary", drain_seconds=0)
    match long:
        case "retire":
            await run.call(workloads.retire, retire)
        case "settle":
            await run.call(targets.settle, SettleRequest(target=target, claim=claim, retire=retire))
        case _:
            drained = ScaleRequest(target=target, claim=claim, slot="canary", replicas=0, drain_seconds=1)
            await run.call(workloads.scale, drained)
    assert said == ["trip", "let go"]
