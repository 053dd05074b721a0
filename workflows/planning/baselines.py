"""Whether a captured target may be taken for what ran before: healthy, and in nobody else's hands."""

from __future__ import annotations

from workflows.errors import PlanRefused
from workflows.model.target import Target, TargetState
from workflows.planning import sentences


def refuse_foreign(target: Target, baseline: TargetState) -> None:
    """Refuses a target that somebody else is changing, or that our undo could not restore. Errors: PlanRefused."""
    if problem := _foreign(target, baseline):
        raise PlanRefused("ForeignState", f"{target.component} on {target.key}: {problem}")


def refuse_unhealthy(target: Target, baseline: TargetState) -> None:
    """Refuses a running version that has fewer ready instances than it wants. Errors: PlanRefused."""
    stable = baseline.slot("stable")
    if stable.is_empty or stable.template is None:
        return
    ready = stable.ready_of(stable.template.digest)
    if ready < stable.replicas:
        raise PlanRefused(
            "UnhealthyBaseline",
            f"{target.component} on {target.key}: {ready} of {sentences.instances(stable.replicas)} of the running "
            f"version {stable.template.version} are ready, so there is no safe way back; repair it, or release with "
            "fixForward",
        )


def _foreign(target: Target, baseline: TargetState) -> str | None:
    stable, canary = baseline.slot("stable"), baseline.slot("canary")
    if not canary.is_empty:
        return (
            f"{sentences.version_in(baseline, 'canary')} runs beside the stable version and no release of ours put it "
            "there; remove it first"
        )
    digest = stable.template.digest if stable.template else ""
    if any(count for other, count in stable.ready.items() if other != digest):
        return "the stable workload runs more than one version; wait until that rollout has ended, or end it"
    return _misrouted(baseline, has_stable=not stable.is_empty) if target.is_routed else None


def _misrouted(baseline: TargetState, *, has_stable: bool) -> str | None:
    traffic = baseline.traffic
    weights = {backend: weight for backend, weight in (traffic.weights if traffic else {}).items() if weight}
    if traffic and traffic.preview_to == "canary":
        return "matched requests or the preview host lead to the slot beside stable; take that away first"
    if has_stable and weights != {"stable": 100}:
        found = ", ".join(f"{weight:g} % to {backend}" for backend, weight in weights.items()) or "nobody anywhere"
        return f"the router sends {found}; it must send all users to stable before a release begins"
    if not has_stable and "canary" in weights:
        return "the router sends users to the slot beside stable, where nothing runs; take that away first"
    return None
