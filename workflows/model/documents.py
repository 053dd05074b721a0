"""From what a person wrote to a document that can be trusted to mean something.

Three passes: what this version cannot do (`notyet`), shape (pydantic, put into words by `complaints`), meaning
(`meaning`, `demands`). Whether things exist is asked later, by an activity. All problems of the first two are reported
at once; meaning is looked at once the shape is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.errors import Problem, SpecError
from workflows.model.complaints import did_you_mean, listed, problems_of, shown
from workflows.model.demands import policy_problems
from workflows.model.meaning import release_problems
from workflows.model.notyet import POLICY, RELEASE, NotYet, is_hidden, refusals
from workflows.model.overrides import Merged, merge, override_problems
from workflows.model.policy import Policy
from workflows.model.release import Release
from workflows.model.shapes import Document

D = TypeVar("D", bound=Document)

KINDS: dict[str, type[Document]] = {"Release": Release, "Policy": Policy}
"""The kinds of documents this version reads."""
_LATER = ("Pipeline", "Operation")


def parse_release(data: Any, *, environment: str | None = None, version: str | None = None) -> Release:
    """The Release a person wrote, for one environment, its overrides merged. Errors: SpecError with every problem.

    `environment` and `version` win over those of the document.
    """
    spec = _spec(data, "Release")
    given = {"environment": environment, "version": version}
    spec = {**spec, **{name: value for name, value in given.items() if value is not None}}
    named = spec.get("environment")
    merged = merge(spec, named) if isinstance(named, str) else Merged(spec)
    if version is not None:
        merged.spec = {**merged.spec, "version": version}
    whole = {**data, "spec": merged.spec} if isinstance(data.get("spec"), dict) else data
    release = _shaped(Release, whole, RELEASE, override_problems(spec), merged.origin)
    _raise([Problem(merged.origin(p.path), p.message) for p in release_problems(release.spec)])
    return release.model_copy(update={"spec": release.spec.model_copy(update={"overrides": {}})})


def parse_policy(data: Any) -> Policy:
    """The Policy a person wrote. Errors: SpecError with every problem."""
    _spec(data, "Policy")
    policy = _shaped(Policy, data, POLICY, [], str)
    _raise(policy_problems(policy.spec))
    return policy


def kind_of(data: Any) -> str:
    """The kind of a raw document. Errors: SpecError when it is none of ours."""
    if not isinstance(data, dict):
        raise SpecError([Problem("", f"must be fields with values, not {shown(data)}")])
    kind = data.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return kind
    known = f"known kinds are {listed(KINDS)}"
    if kind is None:
        message = f"is missing; {known}"
    elif kind in _LATER:
        message = f"{kind} documents are not supported yet; {known}"
    else:
        message = f"{shown(kind)} is not known{did_you_mean(str(kind), KINDS)}; {known}"
    raise SpecError([Problem("kind", message)])


def _spec(data: Any, wanted: str) -> dict[str, Any]:
    if (kind := kind_of(data)) != wanted:
        raise SpecError([Problem("kind", f"this is a {kind}, and a {wanted} is wanted here")])
    spec = data.get("spec")
    return spec if isinstance(spec, dict) else {}


def _shaped(
    model: type[D],
    data: dict[str, Any],
    table: tuple[NotYet, ...],
    problems: list[Problem],
    origin: Callable[[str], str],
) -> D:
    refused, hidden = refusals(data, table)
    problems = [*problems, *(Problem(origin(p.path), p.message) for p in refused)]
    try:
        document = model.model_validate(data)
    except ValidationError as error:
        found = [p for p in problems_of(error, model) if not is_hidden(p.path, hidden)]
        _raise([*problems, *(Problem(origin(p.path), p.message) for p in found)])
        raise  # Not reached: whatever hides a finding is a problem itself.
    _raise(problems)
    return document


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise SpecError(problems)
