"""A first release: nothing runs yet, so there is nothing to compare with and nothing to go back to but nothing."""

from __future__ import annotations

from workflows.model.release import BlueGreen, Canary, Component
from workflows.planning.draft import Draft


def steps(draft: Draft) -> None:
    """Starts, checks, lets users in and watches on absolute rules; every gate of the strategy comes before users do."""
    gates = (*draft.entry_gates, *(gate for name in approvals(draft.component) for gate in draft.gate(name)))
    if not draft.is_routed:
        draft.ask(gates)
    draft.deploy("stable", draft.new, draft.size)
    draft.wait("stable")
    draft.check("stable")
    draft.phase = "Shifting"
    if draft.is_routed:
        draft.ask(gates)
        draft.shift({"stable": 100})
    draft.await_group_to_promote()
    draft.observe(draft.component.strategy.watch)
    draft.await_group_to_commit()


def approvals(component: Component) -> list[str]:
    """The gates that a component's strategy names, each once."""
    strategy = component.strategy
    if isinstance(strategy, Canary | BlueGreen):
        return list(dict.fromkeys(stage.approval for stage in strategy.stages if stage.approval))
    return [strategy.approval] if strategy.approval else []
