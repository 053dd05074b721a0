"""Rolling: instances are replaced in place, so users meet the new version with the first of them."""

from __future__ import annotations

from workflows.errors import PlanRefused
from workflows.model.release import Rolling
from workflows.planning import sentences
from workflows.planning.draft import Draft

_REMEDY = "use maxSurge 1, or recreate, which shows them a maintenance answer"


def steps(draft: Draft, strategy: Rolling) -> None:
    """Replaces, waits, checks, watches."""
    draft.ask((*draft.entry_gates, *draft.gate(strategy.approval)))
    draft.phase = "Shifting"
    strategy = _fitted(draft, strategy)
    draft.deploy("stable", draft.new, draft.size, surge=strategy.max_surge, unavailable=_unavailable(draft, strategy))
    draft.wait("stable", timeout=strategy.timeout)
    draft.check("stable")
    draft.await_group_to_promote()
    draft.observe(strategy.watch)
    draft.await_group_to_commit()


def _fitted(draft: Draft, strategy: Rolling) -> Rolling:
    """What a StatefulSet and a DaemonSet can do of it."""
    unavailable = strategy.max_unavailable
    if draft.plan.target.is_per_node:
        return strategy.model_copy(update={"max_surge": 0}) if unavailable else strategy
    if draft.plan.target.is_in_place:
        return strategy.model_copy(update={"max_surge": 0, "max_unavailable": max(1, unavailable)})
    return strategy


def _unavailable(draft: Draft, strategy: Rolling) -> int:
    """As many as the spec says, but never all of them: somebody has to serve the users."""
    wanted, size = strategy.max_unavailable, draft.size
    if wanted < size:
        return wanted
    if strategy.max_surge == 0 and size == 1:
        if draft.is_routed:
            remedy = "run a second one" if draft.plan.target.is_in_place else _REMEDY
            raise PlanRefused(
                "UsersUnserved",
                f"{draft.plan.name}: replacing its only instance with maxSurge 0 leaves nobody to serve users; "
                f"{remedy}",
            )
        return size
    draft.warnings.append(
        f"{draft.plan.name}: maxUnavailable {wanted} would take all of {sentences.instances(size)}; {size - 1} is used"
    )
    return size - 1
