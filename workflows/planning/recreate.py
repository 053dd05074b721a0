"""Recreate: users get a maintenance answer while the old version stops and the new one starts; the two never meet."""

from __future__ import annotations

from workflows.model.release import Recreate
from workflows.planning.draft import Draft


def steps(draft: Draft, strategy: Recreate) -> None:
    """Sends users away, replaces, checks, lets them back and watches."""
    draft.ask((*draft.entry_gates, *draft.gate(strategy.approval)))
    draft.phase = "Shifting"
    if draft.is_routed:
        draft.shift({"maintenance": 100})
    size = draft.size
    draft.scale("stable", 0)
    # All at once: nothing of the old version runs any more, and nothing may start beside a late leaver.
    draft.deploy("stable", draft.new, size, surge=0, unavailable=size)
    draft.wait("stable", timeout=strategy.timeout)
    draft.check("stable")
    if draft.is_routed:
        draft.shift({"stable": 100})
    draft.await_group_to_promote()
    draft.observe(strategy.watch)
    draft.await_group_to_commit()
