"""From a file to a document that is right, with every problem's line: what validate, plan and start share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import sources
from cli.errors import BadInput
from cli.sources import Source
from workflows.errors import Problem, SpecError

if TYPE_CHECKING:
    from workflows.model.policy import Policy
    from workflows.model.release import Release

KINDS = ("Release", "Policy")


@dataclass(frozen=True)
class Overrides:
    """What a command line says beside the file."""

    version: str | None = None
    environment: str | None = None
    settings: tuple[str, ...] = ()
    """`path=value`, in order."""


def read_release(file: Path, overrides: Overrides = Overrides()) -> Release:
    """The one Release of a file. Errors: SpecError with lines, BadInput for the wrong number of documents."""
    source = _only(file, "Release")
    return parse_release(source, overrides)


def read_policy(file: Path) -> Policy:
    """The one Policy of a file. Errors as `read_release`."""
    from workflows.model.documents import parse_policy

    source = _only(file, "Policy")
    with _Located(source):
        return parse_policy(source.data)
    raise AssertionError


def parse_release(source: Source, overrides: Overrides = Overrides()) -> Release:
    """The document with the command line's words applied. Errors: SpecError with lines."""
    from workflows.model import documents

    data = source.data
    for setting in overrides.settings:
        data = assign(data, setting)
    with _Located(source):
        return documents.parse_release(data, environment=overrides.environment, version=overrides.version)
    raise AssertionError


def problems_of(source: Source, overrides: Overrides = Overrides()) -> list[Problem]:
    """Everything wrong with one document, by line; empty when it is right."""
    from workflows.model.documents import parse_policy

    try:
        if source.kind == "Policy":
            with _Located(source):
                parse_policy(source.data)
        elif source.kind == "Release":
            parse_release(source, overrides)
        else:
            return [source.locate(_wrong_kind(source))]
    except SpecError as error:
        return sorted(error.problems, key=lambda problem: problem.line or 0)
    return []


def _wrong_kind(source: Source) -> Problem:
    if not isinstance(source.data, dict):
        return Problem("", "not a mapping; a document starts with apiVersion and kind")
    allowed = " or ".join(KINDS)
    if "kind" not in source.data:
        return Problem("", f"kind is missing; allowed are {allowed}")
    return Problem("kind", f"{source.data['kind']!r} is not known; allowed are {allowed}")


class _Located:
    """Gives the problems of a SpecError their lines, and adds those of the YAML itself."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        found = list(self._source.problems)
        if isinstance(error, SpecError):
            found += [self._source.locate(problem) for problem in error.problems]
        if found and (error is None or isinstance(error, SpecError)):
            raise SpecError(found) from error


def _only(file: Path, kind: str) -> Source:
    found = sources.read(file)
    if len(found) != 1:
        raise BadInput(f"{file} has {len(found)} documents; give a file with one {kind}.")
    source = found[0]
    if source.kind != kind:
        problem = source.locate(
            Problem("kind", f"{source.kind!r} where a {kind} is needed")
            if source.kind in KINDS
            else _wrong_kind(source)
        )
        raise SpecError([problem])
    return source


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
