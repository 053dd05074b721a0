"""What an undo would cost: the undo itself, run in thought."""

from __future__ import annotations

from typing import Literal

from workflows.model.plan import Deploy, RolloutPlan, Scale, Shift, Step
from workflows.model.target import Target, TargetState
from workflows.planning import sentences
from workflows.planning.ideal import applied, reachable
from workflows.planning.undo import next_undo_step

Cost = Literal["nothing", "cleanup", "ending", "write", "restart", "removal"]
_LONGEST = 50
_QUICK: dict[Cost, str] = {
    "write": "Undo is one write to the router",
    "ending": "Undo ends the instances of the new version",
}
_EXAMPLES: dict[Cost, str] = {
    "nothing": "there is nothing to undo",
    "cleanup": "users are not affected; only what was started for this release is removed",
    "ending": "ending the new version's instances brings all users back",
    "write": "one write to the router brings all users back",
    "removal": "users get the maintenance answer and everything that this release started is removed",
}


def undo_path(baseline: TargetState, state: TargetState, target: Target) -> tuple[Step, ...]:
    """Every step of the undo from a state, when each of them works at once."""
    path: list[Step] = []
    while (step := next_undo_step(baseline, state, target)) and len(path) < _LONGEST:
        path.append(step)
        state = applied(state, step.action)
    return tuple(path)


def describe_undo(plan: RolloutPlan, step: int) -> str:
    """What an undo would do if it began after the given step of a plan (-1: before the first), in a sentence."""
    state = plan.baseline
    for done in plan.steps[: step + 1]:
        state = applied(state, done.action)
    return _sentence(plan, _cost(plan, state))


def worst_undo(plan: RolloutPlan) -> str:
    """How an undo works at the worst moment up to the commit, and when that is."""
    costs: list[Cost] = []
    state = plan.baseline
    for step in plan.steps:
        state = applied(state, step.action)
        costs.append(_cost(plan, state) if step.phase != "Committing" else "nothing")
    if "restart" not in costs:
        return _capitalized(_sentence(plan, next((c for c in ("removal", "write", "ending") if c in costs), "cleanup")))
    slow = [number for number, cost in enumerate(costs, 1) if cost == "restart"]
    restart = _sentence(plan, "restart")
    quick = next((_QUICK[c] for c, step in zip(costs, plan.steps, strict=True) if c in _QUICK and step.new), "")
    if not quick:
        return f"{restart}, from step {slow[0]} on"
    where = f"step {slow[0]}" if slow[0] == slow[-1] else f"steps {slow[0]} to {slow[-1]}"
    return f"{quick}, except in {where}: there {restart}"


def _cost(plan: RolloutPlan, state: TargetState) -> Cost:
    path = undo_path(plan.baseline, state, plan.target)
    if not path:
        return "nothing"
    if plan.baseline.slot("stable").is_empty:
        return "removal" if any(isinstance(step.action, Shift) for step in path) else "cleanup"
    first = path[0].action
    if isinstance(first, Shift):
        return "write" if _is_wholly_old(plan, applied(state, first)) else "restart"
    if any(isinstance(step.action, Deploy | Scale) for step in path):
        return "restart"
    return "ending" if reachable(state, plan.target) & {"canary"} else "cleanup"


def _is_wholly_old(plan: RolloutPlan, state: TargetState) -> bool:
    old = plan.baseline.slot("stable").template
    return old is not None and all(
        backend != "maintenance" and state.slot(backend).is_purely(old.digest)
        for backend, weight in (state.traffic.weights if state.traffic else {}).items()
        if weight > 0
    )


def _sentence(plan: RolloutPlan, cost: Cost) -> str:
    if cost != "restart":
        return _EXAMPLES[cost]
    stable = plan.baseline.slot("stable")
    version = stable.template.version if stable.template else "the old version"
    return f"{sentences.instances(stable.replicas)} of {version} must start before all users are back"


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
