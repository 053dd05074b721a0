"""Whether the votes open a gate; pure."""

from __future__ import annotations

from collections.abc import Iterable

from workflows.model.plan import Gate
from workflows.model.status import Vote


def counts(gate: Gate, person: str) -> bool:
    """Whether this person's vote counts; a gate that names nobody takes anybody's."""
    return not gate.people or person.lower() in gate.people


def decide(gate: Gate, votes: Iterable[Vote]) -> str:
    """`approved`, `rejected` or `open`; one rejection by somebody who counts is enough."""
    counted = [vote for vote in votes if counts(gate, vote.person)]
    if any(vote.decision == "reject" for vote in counted):
        return "rejected"
    people = {vote.person.lower() for vote in counted if vote.decision == "approve"}
    return "approved" if len(people) >= gate.count else "open"
