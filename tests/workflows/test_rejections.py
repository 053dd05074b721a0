"""Whichever gate is rejected: the release ends at its baseline and says whether users had moved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.lab import QUICK, Lab, Trial
from tests.workflows.test_interruptions import same
from workflows.model.plan import Gate

POLICY_GATE = Gate(name="policy")


def _staged(kind: str, *weights: float, **more: Any) -> dict[str, Any]:
    stages = [{"weight": weight, "observe": QUICK, "approval": f"at-{weight:g}"} for weight in weights]
    return {"kind": kind, "stages": stages, "watch": QUICK, **more}


GATED: dict[str, dict[str, Any]] = {
    "canary": _staged("canary", 10, 50),
    "canary-without-standby": _staged("canary", 25, 100, standby="none"),
    "blueGreen": {"kind": "blueGreen", "watch": QUICK},
    "gradual-blueGreen": _staged("blueGreen", 30, 100),
    "rolling": {"kind": "rolling", "watch": QUICK, "approval": "at-start"},
    "recreate": {"kind": "recreate", "watch": QUICK, "approval": "at-start"},
}
"""Strategies with an approval wherever they can have one."""


def _gates(strategy: dict[str, Any]) -> list[str]:
    """In the order in which they are asked for: the policy's before users are reached, then the spec's."""
    named = [stage["approval"] for stage in strategy.get("stages", [strategy]) if "approval" in stage]
    return [POLICY_GATE.name, *named]


EVERY_GATE = [(name, gate) for name, strategy in GATED.items() for gate in _gates(strategy)]


async def _wait_for(trial: Trial, gate: str) -> None:
    await trial.until(lambda status: any(g.name == gate and g.state == "open" for g in status.gates))


def _moved(trial: Trial) -> bool:
    """Whether users were ever led away from the old version, as the router saw it."""
    shifts = [request.weights for name, request in trial.place.log if name == "traffic.shift"]
    return any(weights.get("stable", 0) < 100 for weights in shifts)


@pytest.mark.parametrize(("strategy", "rejected"), EVERY_GATE, ids=[f"{name}-{gate}" for name, gate in EVERY_GATE])
async def test_a_rejection_at_any_gate_ends_at_the_baseline(lab: Lab, strategy: str, rejected: str) -> None:
    gates = _gates(GATED[strategy])
    trial = lab.release(GATED[strategy], gates={name: Gate(name=name) for name in gates}, gate=POLICY_GATE)
    before = trial.place.state()
    await trial.start()
    for gate in gates[: gates.index(rejected)]:
        await _wait_for(trial, gate)
        await trial.say("approve", gate=gate)
    await _wait_for(trial, rejected)
    moved = _moved(trial)
    assert moved == (gates.index(rejected) > 1), "users move behind the second gate, or this test looks at one only"
    await trial.say("reject", gate=rejected, comment="not today")
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack" if moved else "Rejected", "ApprovalRejected")
    assert result["components"][0]["undone"] is True
    assert trial.place.mark is None
    assert same(trial.place.state(), before)
    assert lab.world.violations == []
