"""Who must agree: an environment's approvals as gates with the people who count."""

from __future__ import annotations

from workflows.model.plan import Gate
from workflows.model.policy import Environment, Policy


def gates_of(environment: Environment, policy: Policy) -> dict[str, Gate]:
    """Every gate of an environment by name, people in lower case."""
    groups = policy.spec.groups
    return {
        approval.name: Gate(
            name=approval.name,
            count=approval.count,
            groups=approval.from_,
            people=tuple(sorted({person.lower() for group in approval.from_ for person in groups.get(group, ())})),
            expires_seconds=approval.expires.total_seconds(),
        )
        for approval in environment.approvals
    }
