"""Canary: users move in stages; for the watch the old version stands by at full size, so that undo stays one write."""

from __future__ import annotations

from workflows.model.release import Canary
from workflows.planning import beside, by_replicas
from workflows.planning.draft import Draft
from workflows.planning.entry import entry


def steps(draft: Draft, strategy: Canary) -> None:
    """Prepares, enters softly, climbs the stages, promotes and watches."""
    if draft.plan.target.is_counted:
        by_replicas.steps(draft, strategy)
        return
    beside.prepare(draft, strategy.stages[0].weight)
    beside.climb(draft, strategy.stages, entry(draft.component, strategy))
    draft.await_group_to_promote()
    draft.scale("canary", max(draft.size, draft.state.slot("canary").replicas), weight=100)
    if draft.state.weight("canary") < 100:
        draft.shift({"canary": 100})
    beside.update_stable(draft)
    _stand_by(draft, strategy)
    draft.observe(strategy.watch)
    draft.await_group_to_commit()
    if not draft.state.slot("canary").is_empty:
        beside.leave(draft)


def _stand_by(draft: Draft, strategy: Canary) -> None:
    if strategy.standby == "none" or draft.old is None:
        beside.leave(draft)
        return
    # Nobody reaches the slot now, so all of it is replaced at once, with no instance more than there was.
    draft.deploy("canary", draft.old, draft.size, surge=0, unavailable=draft.state.slot("canary").replicas, weight=100)
    draft.wait("canary")
