"""Rolling: instances are replaced in place, so users meet the new version with the first of them."""

from __future__ import annotations

from workflows.model.release import Rolling
from workflows.planning.draft import Draft


def steps(draft: Draft, strategy: Rolling) -> None:
    """Replaces, waits, checks, watches."""
    draft.ask((*draft.entry_gates, *draft.gate(strategy.approval)))
    draft.phase = "Shifting"
    draft.deploy(
        "stable", draft.new, draft.size, surge=strategy.max_surge, unavailable=min(strategy.max_unavailable, draft.size)
    )
    draft.wait("stable", timeout=strategy.timeout)
    draft.check("stable")
    draft.await_group_to_promote()
    draft.observe(strategy.watch)
    draft.await_group_to_commit()
