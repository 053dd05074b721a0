"""The second pass over a Policy: gates that somebody can open, groups that exist, places named once."""

from __future__ import annotations

from collections.abc import Iterator

from workflows.errors import Problem
from workflows.model.complaints import did_you_mean, listed
from workflows.model.policy import Approval, Environment, PolicySpec


def policy_problems(spec: PolicySpec) -> list[Problem]:
    """Everything that makes no sense together."""
    problems = [] if spec.environments else [Problem("spec.environments", "must name at least one environment")]
    for name, environment in spec.environments.items():
        at = f"spec.environments.{name}"
        problems += [*_targets(environment, at), *_strategies(environment, at)]
        problems += _approvals(environment.approvals, spec.groups, f"{at}.approvals")
    return problems


def _targets(environment: Environment, at: str) -> Iterator[Problem]:
    clusters = [target.cluster for target in environment.targets]
    for i, cluster in enumerate(clusters):
        if cluster in clusters[:i]:
            yield Problem(f"{at}.targets[{i}].cluster", f"{cluster} is named twice; list its namespaces together")


def _strategies(environment: Environment, at: str) -> Iterator[Problem]:
    strategies = environment.strategies
    if strategies is not None and not strategies:
        yield Problem(f"{at}.strategies", "allows no strategy at all; name one, or leave strategies out to allow all")
    for kind, floor in (strategies or {}).items():
        if floor.first_weight is not None and floor.first_weight <= 0:
            yield Problem(f"{at}.strategies.{kind}.firstWeight", "must be above 0, or no first stage could ever fit")
        if floor.entry is not None and kind != "canary":
            yield Problem(f"{at}.strategies.{kind}.entry", f"only a canary enters softly; {kind} does not")
        if floor.first_weight is not None and kind in ("rolling", "recreate"):
            yield Problem(f"{at}.strategies.{kind}.firstWeight", f"{kind} has no stages; leave firstWeight out")
        if floor.observe.minimum and kind in ("rolling", "recreate"):
            yield Problem(f"{at}.strategies.{kind}.observe", f"{kind} has no stages; use watch")


def _approvals(approvals: tuple[Approval, ...], groups: dict[str, tuple[str, ...]], at: str) -> Iterator[Problem]:
    names = [approval.name for approval in approvals]
    for i, approval in enumerate(approvals):
        if approval.name in names[:i]:
            yield Problem(f"{at}[{i}].name", f"{approval.name} is the name of another approval already")
        for j, group in enumerate(approval.from_):
            if group not in groups:
                hint = did_you_mean(group, groups)
                yield Problem(f"{at}[{i}].from[{j}]", f"there is no group {group}{hint} (groups are {listed(groups)})")
        people = {person.lower() for group in approval.from_ for person in groups.get(group, ())}
        if people and len(people) < approval.count:
            message = f"{approval.count} people must approve, but {listed(approval.from_)} have only {len(people)}"
            yield Problem(f"{at}[{i}].count", message)
        if not approval.expires:
            yield Problem(f"{at}[{i}].expires", "must be longer than 0s, or the gate would close before it opens")
