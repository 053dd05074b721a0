"""When votes open a gate."""

from __future__ import annotations

import pytest

from tests.builders import a_policy
from workflows.governance.gates import gates_of
from workflows.governance.quorum import decide
from workflows.model.plan import Gate
from workflows.model.status import Vote

POLICY = a_policy().approval("production", "Ann@example.com", "bob@example.com", "eve@example.com", count=2).parsed()
GATE = gates_of(POLICY.spec.environments["production"], POLICY)["production"]


def votes(*written: str) -> list[Vote]:
    """`+ann` approves, `-bob` rejects; names without a host are in example.com."""
    decisions = {"+": "approve", "-": "reject"}
    return [Vote.model_validate({"person": f"{v[1:]}@example.com", "decision": decisions[v[0]]}) for v in written]


@pytest.mark.parametrize(
    ("written", "state"),
    [
        ((), "open"),
        (("+ann",), "open"),
        (("+ann", "+bob"), "approved"),
        (("+ANN", "+Bob"), "approved"),
        (("+ann", "+ann"), "open"),
        (("+ann", "+ANN"), "open"),
        (("+ann", "+mallory"), "open"),
        (("-mallory", "+ann", "+bob"), "approved"),
        (("+ann", "-eve"), "rejected"),
        (("+ann", "+bob", "-eve"), "rejected"),
    ],
)
def test_a_gate_opens_with_enough_different_people_who_count_and_none_against(
    written: tuple[str, ...], state: str
) -> None:
    assert decide(GATE, votes(*written)) == state


def test_a_gate_that_names_nobody_takes_anybodys_vote() -> None:
    assert decide(Gate(name="qa", count=2), votes("+ann", "+mallory")) == "approved"


def test_a_gate_lasts_as_long_as_policy_says() -> None:
    policy = a_policy().approval("production", "ann", expires="30m").parsed()
    assert gates_of(policy.spec.environments["production"], policy)["production"].expires_seconds == 1800
