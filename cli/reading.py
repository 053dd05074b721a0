"""From a file to a document that is right, with every problem's line: what validate, plan and start share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import sources
from cli.errors import BadInput
from cli.sources import Source
from workflows.errors import PolicyRefused, PreflightFailed, Problem, SpecError
from workflows.model import documents
from workflows.model.policy import Policy
from workflows.model.release import Release


@dataclass(frozen=True)
class Overrides:
    """What a command line says beside the file."""

    version: str | None = None
    environment: str | None = None
    settings: tuple[str, ...] = ()
    """`path=value`, in order."""


_NONE = Overrides()
_SAID: dict[type[SpecError], str] = {
    PolicyRefused: "policy does not allow this",
    PreflightFailed: "the document is right, and a release could not begin",
}


def read_release(file: Path, overrides: Overrides = _NONE) -> Release:
    """The one Release of a file. Errors: BadInput with every problem and its line."""
    with named(file):
        return as_release(only(file, "Release"), overrides)


def read_policy(file: Path) -> Policy:
    """The one Policy of a file. Errors as `read_release`."""
    with named(file):
        return as_policy(only(file, "Policy"))


def only(file: Path, kind: str) -> Source:
    """The one document of a file. Errors: SpecError for another kind, BadInput for another number."""
    found = sources.read(file)
    if len(found) != 1:
        raise BadInput(f"{file} has {len(found)} documents; give a file with one {kind}.")
    if (written := kind_of(found[0])) != kind:
        raise SpecError([found[0].locate(Problem("kind", f"this is a {written}, and a {kind} is wanted here"))])
    return found[0]


def kind_of(source: Source) -> str:
    """The document's kind. Errors: SpecError with its line."""
    try:
        return documents.kind_of(source.data)
    except SpecError as error:
        raise SpecError([source.locate(problem) for problem in error.problems]) from error


def as_release(source: Source, overrides: Overrides = _NONE) -> Release:
    """The document with the command line's words applied. Errors: SpecError with lines."""
    data = source.data
    for setting in overrides.settings:
        data = assign(data, setting)
    with located(source):
        return documents.parse_release(data, environment=overrides.environment, version=overrides.version)


def as_policy(source: Source) -> Policy:
    """The policy. Errors: SpecError with lines."""
    with located(source):
        return documents.parse_policy(source.data)


def problems_of(source: Source, overrides: Overrides = _NONE) -> list[Problem]:
    """Everything wrong with one document, by line; empty when it is right."""
    try:
        as_policy(source) if kind_of(source) == "Policy" else as_release(source, overrides)
    except SpecError as error:
        return _by_line(error.problems)
    return []


def _by_line(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.line or 0)


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Puts the file's name before what is wrong in it."""
    try:
        yield
    except SpecError as error:
        said = _SAID.get(type(error)) or (
            "1 problem" if len(error.problems) == 1 else f"{len(error.problems)} problems"
        )
        reason = type(error).__name__ if type(error) in _SAID else ""
        where = "standard input" if str(file) == "-" else file
        raise BadInput(f"{where}: {said}", reason=reason, problems=_by_line(error.problems)) from error


@contextmanager
def located(source: Source) -> Iterator[None]:
    """Gives the problems of a SpecError their lines, and adds those of the YAML itself."""
    try:
        yield
    except SpecError as error:
        error.problems = [*source.problems, *map(source.locate, error.problems)]
        raise
    if source.problems:
        raise SpecError(list(source.problems))


def assign(data: Any, setting: str) -> Any:
    """A copy of `data` with one `path=value` set.

    A step into a list is an index or the `name` of an element: spec.components.trip-service.drain=10s. Missing mappings
    are made. The value is read as YAML. Errors: BadInput.
    """
    path, equals, text = setting.partition("=")
    steps = [step for part in path.split(".") for step in part.replace("]", "").split("[")]
    if not equals or not all(steps):
        raise BadInput(f"--set {setting}: write path=value, such as spec.holdFor=1h")
    return _assigned(data, steps, _value(text, setting), setting)


def _value(text: str, setting: str) -> Any:
    if not text.strip():
        return ""
    try:
        return sources.parse(text, "--set")[0].data
    except SpecError as error:
        raise BadInput(f"--set {setting}: the value is not YAML: {error}") from error


def _assigned(data: Any, steps: list[str], value: Any, setting: str) -> Any:
    if not steps:
        return value
    step, *rest = steps
    if isinstance(data, list):
        index = _index(data, step, setting)
        return [*data[:index], _assigned(data[index], rest, value, setting), *data[index + 1 :]]
    if data is not None and not isinstance(data, dict):
        raise BadInput(f"--set {setting}: {step!r} lies below {data!r}, which has no fields.")
    here: dict[str, Any] = data or {}
    return {**here, step: _assigned(here.get(step), rest, value, setting)}


def _index(items: list[Any], step: str, setting: str) -> int:
    if step.isdigit() and int(step) < len(items):
        return int(step)
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if step in names:
        return names.index(step)
    known = ", ".join(name for name in names if name) or f"0 to {len(items) - 1}"
    raise BadInput(f"--set {setting}: there is no element {step!r}; there are {known}.")
