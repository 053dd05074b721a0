"""Rolling: instances are replaced in place, so users meet the new version with the first of them."""

from __future__ import annotations

from workflows.errors import PlanRefused
from workflows.model.release import Rolling
from workflows.planning import sentences
from workflows.planning.draft import Draft


def steps(draft: Draft, strategy: Rolling) -> None:
    """Replaces, waits, checks, watches."""
    draft.ask((*draft.entry_gates, *draft.gate(strategy.approval)))
    draft.phase = "Shifting"
    draft.deploy("stable", draft.new, draft.size, surge=strategy.max_surge, unavailable=_unavailable(draft, strategy))
    draft.wait("stable", timeout=strategy.timeout)
    draft.check("stable")
    draft.await_group_to_promote()
    draft.observe(strategy.watch)
    draft.await_group_to_commit()


def _unavailable(draft: Draft, strategy: Rolling) -> int:
    """As many as the spec says, but never all of them: somebody has to serve the users."""
    wanted, size = strategy.max_unavailable, draft.size
    if wanted < size:
        return wanted
    if strategy.max_surge == 0 and size == 1:
        if draft.is_routed:
            raise PlanRefused(
                "UsersUnserved",
                f"{draft.plan.name}: replacing its only instance with maxSurge 0 leaves nobody to serve users; use "
                "maxSurge 1, or recreate, which shows them a maintenance answer",
            )
        return size
    draft.warnings.append(
        f"{draft.plan.name}: maxUnavailable {wanted} would take all of {sentences.instances(size)}; {size - 1} is used"
    )
    return size - 1
