"""Blue-green: the new version is made ready in full, then users switch at once or by weights.

The watch comes before the user's own workload is touched: the old version stands there untouched, one write away.
"""

from __future__ import annotations

from workflows.model.release import BlueGreen
from workflows.planning import beside
from workflows.planning.draft import Draft


def steps(draft: Draft, strategy: BlueGreen) -> None:
    """Prepares green, switches, watches, then gives blue the new version and the users."""
    beside.prepare(draft, 100)
    beside.climb(draft, strategy.stages)
    draft.await_group_to_promote()
    draft.observe(strategy.watch)
    beside.update_stable(draft)
    draft.await_group_to_commit()
    beside.leave(draft)
