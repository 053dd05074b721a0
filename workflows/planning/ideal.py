"""What a step does when everything goes well and at once: how the planner follows its own plan in thought."""

from __future__ import annotations

from workflows.model.plan import Action, Deploy, Retire, Scale, Shift
from workflows.model.target import SLOTS, Backend, Slot, SlotState, Target, TargetState, Template, TrafficState


def applied(state: TargetState, action: Action) -> TargetState:
    """The target after the action; actions that only wait or ask change nothing."""
    match action:
        case Deploy(slot=slot, template=template, replicas=replicas):
            return with_slot(state, slot, _full(template, replicas))
        case Scale(slot=slot, replicas=replicas):
            return with_slot(state, slot, _full(state.slot(slot).template, replicas))
        case Retire(slot=slot):
            return with_slot(state, slot, SlotState())
        case Shift(weights=weights, preview_to=preview_to):
            raw = state.traffic.raw if state.traffic else {}
            return state.model_copy(
                update={"traffic": TrafficState(weights=dict(weights), preview_to=preview_to, raw=raw)}
            )
        case _:
            return state


def with_slot(state: TargetState, slot: Slot, content: SlotState) -> TargetState:
    """The target with another content in one slot."""
    return state.model_copy(update={"slots": {**state.slots, slot: content}})


def reachable(state: TargetState, target: Target) -> set[Backend]:
    """Where user requests, or a consumer's share of the work, can arrive; matches and the preview host included."""
    if not target.is_routed:
        return {slot for slot in SLOTS if state.slot(slot).replicas}
    reached = {backend for backend, weight in (state.traffic.weights if state.traffic else {}).items() if weight > 0}
    if state.traffic and state.traffic.preview_to:
        reached.add(state.traffic.preview_to)
    return reached | {"stable"} if target.keeps_stable else reached


def _full(template: Template | None, replicas: int) -> SlotState:
    ready = {template.digest: replicas} if template is not None and replicas else {}
    return SlotState(template=template, replicas=replicas, ready=ready)
