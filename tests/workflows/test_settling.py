"""The end of a release that is committed: what goes, and in which order."""

from __future__ import annotations

from tests.temporal import unique
from tests.workflows.lab import Lab, a_component, a_target
from workflows.contracts.targets import SettleRequest


async def test_what_both_versions_shared_forgets_the_old_one_after_its_last_instance(lab: Lab) -> None:
    name = unique("shared")
    target = a_target(a_component("shop", f"{name}-shop", "canary"))
    shared = {**target.traffic, "destinationRule": "shop", "service": "shop"}
    trial = lab.release("canary", name=name, targets={"shop": target.model_copy(update={"traffic": shared})})
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    (home,) = [request for called, request in trial.place.log if called == "traffic.home"]
    assert isinstance(home, SettleRequest)
    assert home.weights == {"stable": 100}
    assert home.retire is not None
    called = [called for called, _ in trial.place.log]
    assert "traffic.shift" not in called[called.index("targets.settle") :]
    assert trial.place.mark is None
