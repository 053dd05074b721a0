"""One line for every step, for people who see nothing else: the Temporal UI, the plan, the status."""

from __future__ import annotations

from datetime import timedelta

from workflows.model.plan import (
    Action,
    Approve,
    AwaitGit,
    Barrier,
    Deploy,
    Gate,
    Observe,
    Retire,
    RunChecks,
    Scale,
    Shift,
    WaitReady,
)
from workflows.model.shapes import format_duration
from workflows.model.target import Backend, Slot, TargetState

_ORDER: tuple[Backend, ...] = ("canary", "stable", "maintenance")
_BARRIERS = {
    "promote": "Wait until every component of the release has passed its last stage",
    "commit": "Wait until every component of the release has finished its watch; until then all of it can be undone",
}


def of_action(action: Action, before: TargetState, after: TargetState) -> str:
    """What the action does, named by the versions that the slots hold."""
    match action:
        case Deploy() | Scale() | WaitReady() | Retire():
            return _of_instances(action, before, after)
        case Shift():
            return _shift(action, before, after)
        case Observe():
            return _observe(action, before)
        case RunChecks(slot=slot, checks=checks):
            count = "1 check" if len(checks) == 1 else f"{len(checks)} checks"
            return f"Run {count} against every instance of {_place(after, slot)}"
        case Approve() | AwaitGit() | Barrier():
            return _of_wait(action, after)


def _of_wait(action: Approve | AwaitGit | Barrier, state: TargetState) -> str:
    match action:
        case Approve(gate=gate):
            return f"Wait for approval: {people(gate)}"
        case AwaitGit():
            return f"Wait until Git names {state.slot('stable').template_version}; automated sync is paused until then"
        case Barrier(name=name):
            return _BARRIERS[name]


def _of_instances(action: Deploy | Scale | WaitReady | Retire, before: TargetState, after: TargetState) -> str:
    match action:
        case Deploy():
            return _deploy(action, before)
        case Scale(slot=slot, replicas=0):
            return f"Drain and stop {_place(before, slot)}"
        case Scale(slot=slot, replicas=replicas, share=share):
            least = f"{share:g} % of stable, at least " if share else ""
            return f"Scale {_place(after, slot)} to {least}{instances(replicas)}"
        case WaitReady(slot=slot, replicas=0):
            return f"Wait until {slot} has stopped"
        case WaitReady(slot=slot, replicas=replicas):
            are = "is" if replicas == 1 else "are"
            return f"Wait until {instances(replicas)} of {_place(after, slot)} {are} ready"
        case Retire(slot=slot):
            return f"Drain and remove {_place(before, slot)}"


def _deploy(action: Deploy, before: TargetState) -> str:
    what, was = f"{instances(action.replicas)} of {action.template.version}", before.slot(action.slot)
    if not was.replicas or was.template is None:
        return f"Start {what} ({action.slot})"
    if was.template.version != action.template.version:
        replace = "Drain and replace" if action.drain_seconds else "Replace"
        return f"{replace} {was.template.version} by {what} ({action.slot})"
    return f"Run {what} ({action.slot})"


def _observe(action: Observe, state: TargetState) -> str:
    if action.stage:
        slot: Slot = "stable" if state.slot("canary").is_empty else "canary"
        share = f" at {state.weight(slot):g} %" if state.traffic else ""
        time = f" for {duration(action.seconds)}" if action.seconds else ", without waiting"
        if action.entry:
            return f"Let {version_in(state, slot)} in{share}{time} (stage {action.stage}, soft entry)"
        return f"Observe {version_in(state, slot)}{share}{time} (stage {action.stage})"
    main: Slot = "canary" if state.weight("canary") >= 100 else "stable"
    other: Slot = "stable" if main == "canary" else "canary"
    beside = state.slot(other)
    standby = "" if beside.is_empty else f"; {version_in(state, other)} ({other}) stands by at full size"
    return f"Watch {version_in(state, main)} with all users for {duration(action.seconds)}{standby}"


def _shift(action: Shift, before: TargetState, after: TargetState) -> str:
    shares = [(b, action.weights[b]) for b in _ORDER if action.weights.get(b)]
    if len(shares) == 1:
        verb, where = ("Keep", "on") if before.weight(shares[0][0]) >= 100 else ("Send", "to")
        sentence = f"{verb} all users {where} {_place(after, shares[0][0])}"
    else:
        first, *rest = (f"{weight:g} % {{}}to {_place(after, backend)}" for backend, weight in shares)
        sentence = ", ".join([f"Send {first.format('of users ')}", *(part.format("") for part in rest)])
    if action.weights.get("canary") == 0:
        sentence += "; by subsets, so that pods of the new version beside it get nobody"
    if action.preview_to and not action.weights.get(action.preview_to):
        sentence += f"; matched requests and the preview host reach {_place(after, action.preview_to)}"
    if action.mirror:
        sentence += f"; {action.mirror:g} % of the requests are copied there, and what it writes for them happens twice"
    return sentence


def _place(state: TargetState, backend: Backend) -> str:
    name = version_in(state, backend)
    return name if backend == "maintenance" else f"{name} ({backend})"


def version_in(state: TargetState, backend: Backend) -> str:
    """How people call what a backend runs."""
    if backend == "maintenance":
        return "the maintenance answer"
    template = state.slot(backend).template
    return template.version if template else "nothing"


def versions(state: TargetState, slots: tuple[Slot, ...]) -> str:
    """The versions in some slots, each once."""
    return " and ".join(dict.fromkeys(version_in(state, slot) for slot in slots))


def people(gate: Gate) -> str:
    """Who opens a gate."""
    count = f"{gate.count} of " if gate.groups else f"{gate.count} "
    return f"{gate.name} ({count}{', '.join(gate.groups) or 'people'})"


def instances(count: int) -> str:
    """A number of instances in words."""
    return f"{count} instance{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as people write them."""
    return format_duration(timedelta(seconds=seconds))
