"""What the strategies share that run the new version beside the old one: canary, blueGreen and rollback.

In the end the user's own workload (stable) runs the new version with all the traffic and the slot beside it is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from workflows.model.release import NoTraffic, Stage
from workflows.model.target import Backend
from workflows.planning.draft import Draft


def prepare(draft: Draft, weight: float) -> None:
    """Starts the new version without users, opens the preview and checks it.

    Gates that policy wants come after the checks, so that approvers can look at the preview; but where a header match
    lets users in with the preview, or copies of their requests arrive, they come before it.
    """
    traffic = draft.component.traffic
    match = () if isinstance(traffic, NoTraffic) else traffic.match
    mirror = getattr(traffic, "mirror", None)
    has_preview = not isinstance(traffic, NoTraffic) and bool(traffic.match or traffic.preview or mirror)
    if draft.plan.target.shared_service:
        _divide(draft)
    draft.deploy("canary", draft.new, draft.share(weight), weight=weight)
    draft.wait("canary")
    if match or mirror:
        draft.ask(draft.entry_gates)
    if has_preview:
        draft.shift({"stable": 100}, preview_to="canary", mirror=mirror.percent if mirror else 0)
    draft.check("canary")
    if not (match or mirror):
        draft.ask(draft.entry_gates)


def _divide(draft: Draft) -> None:
    """Leads users to the old version alone before its Service selects pods of the new one."""
    draft.shift({"stable": 100, "canary": 0})
    draft.warnings.append(
        f"{draft.plan.name}: callers outside the mesh reach Service {draft.plan.target.shared_service} directly, and "
        "get both versions by the number of their pods"
    )


def leave(draft: Draft) -> None:
    """Takes the slot beside stable away, and then what divided users between the two."""
    draft.retire("canary")
    if draft.plan.target.shared_service:
        draft.shift({"stable": 100})


def climb(draft: Draft, stages: Sequence[Stage], entry: Sequence[Stage] = ()) -> None:
    """Moves users in stages: the gate, enough instances, the weight, the observation.

    The gate of the first stage opens the entry before it.
    """
    draft.phase = "Shifting"
    preview = draft.state.traffic.preview_to if draft.state.traffic else None
    for number, stage in enumerate((*entry, *stages), 1):
        if not entry or number != len(entry) + 1:
            draft.ask(draft.gate(stage.approval))
        draft.scale("canary", max(draft.share(stage.weight), draft.state.slot("canary").replicas), weight=stage.weight)
        draft.shift(split(stage.weight), preview_to=preview)
        draft.observe(stage.observe, stage=number, entry=number <= len(entry))


def split(weight: float) -> dict[Backend, float]:
    """The weights that give the new version its percentage."""
    return {"stable": round(100 - weight, 2), "canary": weight} if weight < 100 else {"canary": 100}


def update_stable(draft: Draft) -> None:
    """Brings the new version into the user's own workload while the slot beside it serves all, then users follow."""
    replace_stable(draft)
    if not draft.plan.target.is_switched:
        draft.shift({"canary": 50, "stable": 50})
    draft.shift({"stable": 100})


def replace_stable(draft: Draft) -> None:
    """The user's own workload gets the new version.

    A quarter is replaced at a time: should the new version stop working now, most of the old one is still there.
    """
    surge = max(1, ceil(draft.size / 4))
    draft.deploy("stable", draft.new, draft.size, surge=surge)
    draft.wait("stable", rounds=ceil(draft.size / surge))
