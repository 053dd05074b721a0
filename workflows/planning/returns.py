"""The plan that brings back a version which was kept beside the targets."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from workflows.errors import PolicyRefused, Problem, SpecError
from workflows.model.complaints import did_you_mean, listed
from workflows.model.plan import ComponentPlan, ReleasePlan
from workflows.model.policy import Environment, Policy
from workflows.model.release import Component
from workflows.model.shapes import carried
from workflows.model.target import Promoted, Target
from workflows.planning.releases import sealed
from workflows.planning.waves import waves


def return_plan(
    promoted: Iterable[Promoted], policy: Policy, *, environment: str, release: str, version: str
) -> ReleasePlan:
    """One rollout per target on which this version was promoted. Errors: SpecError naming the versions that are kept.

    Nobody is asked and nothing is awaited: only the places that an environment may touch hold here too.
    """
    wanted = (environment, release, "promoted")
    ours = [p for p in promoted if (p.environment, p.release, p.outcome) == wanted and p.component]
    kept = list(_newest(p for p in ours if p.version == version))
    if not kept:
        known = list(dict.fromkeys(p.version for p in ours))
        message = f"version {version} of {environment}/{release} is not kept here{did_you_mean(version, known)}"
        raise SpecError([Problem("version", f"{message} (kept: {listed(known)})")])
    demands = _demands(policy, environment, kept)
    components = [(p, carried(Component, p.component)) for p in kept]
    wave = waves({component.name: component.depends_on for _, component in components})
    return sealed(
        ReleasePlan(
            environment=environment,
            name=release,
            version=version,
            components=tuple(
                ComponentPlan(
                    name=p.target.component,
                    target=p.target,
                    template=p.template,
                    wave=wave[component.name],
                    component=p.component,
                    fix_forward=True,
                )
                for p, component in components
            ),
            kind="rollback",
            restart=False,
            again=True,
            parallel=demands.limits.parallel,
            can_supersede=demands.supersede,
            can_advance=demands.advance,
            foreign_changes=demands.foreign_changes,
        )
    )


def _newest(promoted: Iterable[Promoted]) -> Iterable[Promoted]:
    """The newest record of each target; those without a time count as oldest."""
    found: dict[str, Promoted] = {}
    for each in promoted:
        other = found.get(each.target.key)
        if other is None or (each.at is not None and (other.at is None or each.at > other.at)):
            found[each.target.key] = each
    return sorted(found.values(), key=lambda p: p.target.key)


def _demands(policy: Policy, environment: str, kept: list[Promoted]) -> Environment:
    known = policy.spec.environments
    if environment not in known:
        message = (
            f"policy knows no environment {environment}{did_you_mean(environment, known)} (known: {listed(known)})"
        )
        raise PolicyRefused([Problem("environment", message)])
    demands = known[environment]
    allowed = set(chain.from_iterable(((t.cluster, n) for n in t.namespaces) for t in demands.targets))
    problems = [
        Problem(f"components.{p.target.component}", f"{environment} may no longer touch {_where(p.target)}")
        for p in kept
        if (p.target.cluster, p.target.namespace) not in allowed
    ]
    if problems:
        raise PolicyRefused(problems)
    return demands


def _where(target: Target) -> str:
    return f"{target.cluster}/{target.namespace}"
