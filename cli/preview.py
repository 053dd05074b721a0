"""What a release would do, planned on this machine: the worker's own planner on a baseline that is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cli.forecast import FAILING, USUAL, Assumed, Forecast, forecast
from workflows.contracts.metrics import Measured
from workflows.engine.preflight import Preflight
from workflows.model.plan import ComponentPlan, Observe, ReleasePlan, RolloutPlan, Step, WaitReady
from workflows.model.policy import Policy
from workflows.model.release import Component, Release
from workflows.model.target import SlotState, Target, TargetState, Template, TrafficState
from workflows.planning.guarded import unguarded
from workflows.planning.ideal import applied
from workflows.planning.releases import release_plan
from workflows.planning.rollouts import rollout_plan

RUNNING = "current"
"""What stands for the version that runs now, which only a worker can find out."""


@dataclass(frozen=True)
class Row:
    """One step with what it means for users."""

    number: int
    step: Step
    share: float | None
    """Percent of the users on the new version afterwards; None while both versions run in one place."""
    observe: float
    """Seconds of observation."""
    limit: float
    """Seconds until the step gives up, where it has such a limit."""
    guard: tuple[str, ...]
    """The metrics that can roll back during it; empty where users cannot reach the new version."""

    def to_json(self) -> dict[str, Any]:
        """The stable shape of a step in `plan -o json`."""
        return {
            "number": self.number,
            "summary": self.step.summary,
            "phase": self.step.phase,
            "action": self.step.action.model_dump(mode="json"),
            "newVersionPercent": self.share,
            "observeSeconds": self.observe,
            "timeoutSeconds": self.limit or None,
            "exposed": bool(self.step.new),
            "guard": list(self.guard),
        }


@dataclass(frozen=True)
class Preview:
    """A whole release in thought."""

    release: ReleasePlan
    rollouts: tuple[RolloutPlan, ...]
    replicas: int
    notes: tuple[str, ...]
    """What was assumed."""
    assumed: Assumed = USUAL
    measured: Mapping[str, Assumed] = field(default_factory=dict)
    """Traffic that is known, by component."""

    def forecast(self, rollout: RolloutPlan) -> Forecast | None:
        """What one of the rollouts can find."""
        traffic = self.measured.get(rollout.target.component, self.assumed)
        return forecast(rollout, [row.share or 0.0 for row in rows(rollout)], traffic)

    def to_json(self) -> dict[str, Any]:
        """The stable shape of `plan -o json`."""
        return {
            "release": f"{self.release.environment}/{self.release.name}",
            "version": self.release.version,
            "digest": self.release.digest,
            "parallel": self.release.parallel,
            "assumed": {"replicas": self.replicas, "notes": list(self.notes)},
            "warnings": list(self.release.warnings),
            "components": [
                {
                    "name": component.name,
                    "wave": component.wave,
                    "target": component.target.key,
                    "template": component.template.body,
                    "kind": rollout.kind,
                    "gate": component.gate.model_dump(mode="json") if component.gate else None,
                    "observeSeconds": observed(rollout),
                    "peakReplicas": rollout.peak_replicas,
                    "undo": rollout.undo,
                    "warnings": list(rollout.warnings),
                    "unguarded": unguarded(rollout),
                    "forecast": found.to_json() if (found := self.forecast(rollout)) else None,
                    "steps": [row.to_json() for row in rows(rollout)],
                }
                for component, rollout in zip(self.release.components, self.rollouts, strict=True)
            ],
        }


def preview(release: Release, policy: Policy | None, *, replicas: int, assumed: Assumed = USUAL) -> Preview:
    """Plans every component. Errors: PolicyRefused, PlanRefused."""
    notes = [f"Baseline assumed: {replicas} healthy instances of the running version get all users (--replicas)."]
    if policy is None:
        notes.append("No --policy given: approvals, floors and allowed targets are not judged.")
    plan = release_plan(release, policy or _permissive(release))
    baselines = {component.name: _baseline(component, replicas) for component in plan.components}
    return replace(_preview(plan, baselines, replicas, notes), assumed=assumed)


def checked_preview(found: Preflight, *, replicas: int, assumed: Assumed | None = None) -> Preview:
    """The worker's own plan, from what it has found to be running, for its traffic unless one is given.

    Errors: PlanRefused.
    """
    assert found.plan is not None  # noqa: S101 - whoever asks gets a refusal as an error.
    seen = {one.component: one for one in found.seen}
    notes = ["Checked by a worker, by its policy: everything that this needs is there, and nothing was touched."]
    baselines = {}
    for component in found.plan.components:
        one = seen.get(component.name)
        if one is None or one.replicas is None:
            notes.append(f"{component.name}: {replicas} instances are assumed (--replicas).")
            baselines[component.name] = _baseline(component, replicas)
        else:
            running = f"{one.replicas} instances of {one.running}" if one.replicas else "nothing"
            notes.append(f"{component.name}: {running} running now.")
            baselines[component.name] = _baseline(component, one.replicas, version=one.running)
    notes += found.plan.notes
    notes += [f"{name}: its traffic is not known: {one.message}" for name, one in _unknown(found) if not assumed]
    made = _preview(found.plan, baselines, replicas, notes)
    return replace(made, assumed=assumed) if assumed else replace(made, measured=_measured(found))


def _unknown(found: Preflight) -> list[tuple[str, Measured]]:
    return [(name, one) for name, one in found.traffic.items() if one.requests_per_second is None]


def _measured(found: Preflight) -> dict[str, Assumed]:
    """What is known; failures are as many as usual where nobody counts them."""
    return {
        name: Assumed(one.requests_per_second, one.failing or FAILING, one.message)
        for name, one in found.traffic.items()
        if one.requests_per_second is not None
    }


def _preview(plan: ReleasePlan, baselines: Mapping[str, TargetState], replicas: int, notes: list[str]) -> Preview:
    rollouts = tuple(
        rollout_plan(component, baselines[component.name], analysis_required=plan.analysis_required)
        for component in plan.components
    )
    return Preview(plan, rollouts, replicas, tuple(notes))


def observed(plan: RolloutPlan) -> float:
    """Seconds of observation in all: the least that the rollout takes."""
    return sum(step.action.seconds for step in plan.steps if isinstance(step.action, Observe))


def rows(plan: RolloutPlan) -> list[Row]:
    """The steps with their meaning, followed in thought."""
    state = plan.baseline
    metrics = tuple(metric["name"] for metric in (plan.analysis or {}).get("metrics", ()))
    result = []
    for number, step in enumerate(plan.steps, start=1):
        state = applied(state, step.action)
        action = step.action
        result.append(
            Row(
                number,
                step,
                _share(state, plan.target, plan.template),
                action.seconds if isinstance(action, Observe) else 0.0,
                action.timeout_seconds if isinstance(action, WaitReady) else 0.0,
                metrics if step.new else (),
            )
        )
    return result


def _share(state: TargetState, target: Target, new: Template) -> float | None:
    """Percent of the users on the new version; by replicas where nothing routes."""
    if target.is_routed:
        return sum(state.weight(slot) for slot in state.slots if _runs(state.slots[slot], new))
    total = sum(slot.replicas for slot in state.slots.values())
    return 100 * sum(slot.replicas for slot in state.slots.values() if _runs(slot, new)) / total if total else 0.0


def _runs(slot: SlotState, template: Template) -> bool:
    return slot.template is not None and slot.template.digest == template.digest


def _baseline(component: ComponentPlan, replicas: int, *, version: str = RUNNING) -> TargetState:
    if replicas == 0:
        return TargetState(traffic=TrafficState() if component.target.is_routed else None)
    running = Template(version=version, digest="running")
    stable = SlotState(template=running, replicas=replicas, ready={running.digest: replicas})
    traffic = TrafficState(weights={"stable": 100}) if component.target.is_routed else None
    return TargetState(slots={"stable": stable}, traffic=traffic)


def _permissive(release: Release) -> Policy:
    """A policy that allows everything the release asks for, gates of its stages included."""
    spec = release.spec
    places: dict[str, set[str]] = {}
    for component in spec.components:
        cluster = component.workload.cluster or "local"
        places.setdefault(cluster, set()).add(component.workload.namespace or "default")
    gates = sorted({gate for component in spec.components for gate in _gates(component)})
    environment = {
        "targets": [{"cluster": cluster, "namespaces": sorted(names)} for cluster, names in sorted(places.items())],
        "approvals": [{"name": gate, "from": ["anybody"]} for gate in gates],
    }
    return Policy.model_validate(
        {
            "apiVersion": "headgate.dev/v1",
            "kind": "Policy",
            "spec": {"groups": {"anybody": []}, "environments": {spec.environment: environment}},
        }
    )


def _gates(component: Component) -> list[str]:
    strategy = component.strategy
    asked = [getattr(strategy, "approval", None), *(stage.approval for stage in getattr(strategy, "stages", ()))]
    return [gate for gate in asked if gate]
