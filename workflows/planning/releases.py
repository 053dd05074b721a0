"""From a Release and the Policy to what a release will do: components, places, waves, gates and floors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from workflows.errors import PolicyRefused, Problem
from workflows.governance.floors import Floors
from workflows.governance.gates import gates_of
from workflows.governance.places import place
from workflows.model.complaints import did_you_mean, listed
from workflows.model.plan import ComponentPlan, Gate, ReleasePlan
from workflows.model.policy import Environment, Policy
from workflows.model.release import Component, Release, ReplicasTraffic
from workflows.model.shapes import dump
from workflows.model.target import Target
from workflows.planning.initial import approvals
from workflows.planning.templates import digest_of, template
from workflows.planning.waves import waves


def release_plan(release: Release, policy: Policy) -> ReleasePlan:
    """What a release will do, before anything is captured. Errors: PolicyRefused with everything."""
    spec, environment = release.spec, _environment(release, policy)
    table = _Table(release, environment, gates_of(environment, policy))
    components = tuple(table.component(i) for i in range(len(spec.components)))
    table.refuse_shared_targets(components)
    if table.problems:
        raise PolicyRefused(table.problems)
    return sealed(
        ReleasePlan(
            environment=spec.environment,
            name=release.metadata.name,
            version=spec.version,
            components=components,
            parallel=environment.limits.parallel,
            on_failure=spec.on_failure,
            promote=spec.promote,
            hold_seconds=spec.hold_for.total_seconds(),
            can_supersede=environment.supersede,
            can_advance=environment.advance,
            analysis_required=environment.analysis == "required",
            foreign_changes=environment.foreign_changes,
            restart=spec.restart,
            again=spec.again,
            change=dump(spec.change),
            labels=release.metadata.labels,
            warnings=_warnings(components),
        )
    )


def sealed(plan: ReleasePlan) -> ReleasePlan:
    """The plan with the digest of its content, by which approvals and audit name it."""
    content = plan.model_dump(mode="json", by_alias=True, exclude={"digest"})
    return plan.model_copy(update={"digest": digest_of(content)})


def _warnings(components: tuple[ComponentPlan, ...]) -> tuple[str, ...]:
    gates = [
        gate
        for component in components
        for gate in (component.gate, *component.further_gates, *component.gates.values())
        if gate is not None and not gate.people
    ]
    names = dict.fromkeys(gate.name for gate in gates)
    return tuple(f"anybody can open gate {name}, because policy names nobody in its groups" for name in names)


def _environment(release: Release, policy: Policy) -> Environment:
    name, known = release.spec.environment, policy.spec.environments
    if name in known:
        return known[name]
    message = f"policy knows no environment {name}{did_you_mean(name, known)} (known: {listed(known)})"
    raise PolicyRefused([Problem("spec.environment", message)])


@dataclass
class _Table:
    """Lays out the components of one release; collects what policy does not allow."""

    release: Release
    environment: Environment
    gates: dict[str, Gate]
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waves = waves({c.name: c.depends_on for c in self.release.spec.components})

    def component(self, index: int) -> ComponentPlan:
        """One component's plan; nonsense where `problems` got longer."""
        spec, at = self.release.spec, f"spec.components[{index}]"
        written = spec.components[index]
        floors = Floors(self.environment, spec.environment, at)
        raised = floors.raised(written)
        self.problems += floors.problems
        named = self._named(written, at)
        unnamed = [gate for name, gate in self.gates.items() if name not in named]
        return ComponentPlan(
            name=written.name,
            target=self._target(written, at),
            template=template(written, spec.version),
            wave=self.waves[written.name],
            # With its defaults: a recorded component means the same to every later worker.
            component=raised.model_dump(mode="json", by_alias=True, exclude_none=True),
            gate=unnamed[0] if unnamed else None,
            further_gates=tuple(unnamed[1:]),
            gates={name: self.gates[name] for name in named},
            fix_forward=spec.fix_forward,
        )

    def refuse_shared_targets(self, components: tuple[ComponentPlan, ...]) -> None:
        """Two components must not write to one workload or one route, also where the places come from policy."""
        owners: dict[tuple[str, ...], str] = {}
        for i, component in enumerate(components):
            target, at = component.target, f"spec.components[{i}]"
            places = {"workload": (target.key,), "traffic": _route(target)}
            for name, key in places.items():
                if key[-1] and owners.setdefault(key, component.name) != component.name:
                    self.problems.append(
                        Problem(f"{at}.{name}", f"component {owners[key]} writes to {key[-1]} already")
                    )

    def _named(self, component: Component, at: str) -> list[str]:
        names = approvals(component)
        for name in names:
            if name not in self.gates:
                hint, known = did_you_mean(name, self.gates), listed(self.gates)
                message = f"{self.release.spec.environment} has no approval {name}{hint} (known: {known})"
                self.problems.append(Problem(f"{at}.strategy{_where(component, name)}.approval", message))
        return [name for name in names if name in self.gates]

    def _target(self, component: Component, at: str) -> Target:
        found = place(component, self.environment, self.release.spec.environment, at=at)
        if isinstance(found, Problem):
            self.problems.append(found)
            found = ("", "")
        return Target(
            component=component.name,
            cluster=found[0],
            namespace=found[1],
            workload=_identity(component),
            traffic=dump(component.traffic),
            drain_seconds=_drain(component),
            exclusive=component.strategy.kind == "recreate",
        )


def _identity(component: Component) -> dict[str, Any]:
    """The workload without what the target says itself and what only a first release needs."""
    return {k: v for k, v in dump(component.workload).items() if k not in ("cluster", "namespace", "replicas")}


def _drain(component: Component) -> float:
    """Where pods have users until they end, waiting before that would only let more users in."""
    return 0 if isinstance(component.traffic, ReplicasTraffic) else component.drain.total_seconds()


def _route(target: Target) -> tuple[str, ...]:
    """What only one component may write to; a route of Kubernetes may serve several, their Services may not."""
    if service := target.traffic.get("service"):
        return "service", target.cluster, target.namespace, str(service)
    return "route", target.cluster, str(target.traffic.get("route", ""))


def _where(component: Component, approval: str) -> str:
    for i, stage in enumerate(getattr(component.strategy, "stages", ())):
        if stage.approval == approval:
            return f".stages[{i}]"
    return ""
