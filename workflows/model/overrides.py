"""One document for several environments: `spec.overrides.<environment>` merged over `spec`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from workflows.errors import Problem
from workflows.model.complaints import did_you_mean, listed, shown

_FIXED = ("environment", "overrides")


@dataclass
class Merged:
    """A spec with an environment's overrides in it, and where each of its values was written."""

    spec: dict[str, Any]
    origins: dict[str, str] = field(default_factory=dict)
    """Path of a value that an override gave -> path where it stands."""

    def origin(self, path: str) -> str:
        """Where to look in the document for what is at `path` after merging."""
        for prefix in sorted(self.origins, key=len, reverse=True):
            if path == prefix or path.startswith((f"{prefix}.", f"{prefix}[")):
                return self.origins[prefix] + path[len(prefix) :]
        return path


def merge(spec: dict[str, Any], environment: str) -> Merged:
    """Merges components by name and fields deeply; lists and anything of another `kind` are replaced as a whole.

    Values of the wrong type are left for the shape check to report.
    """
    overrides = spec.get("overrides")
    changes = overrides.get(environment) if isinstance(overrides, dict) else None
    merged = Merged(spec)
    if isinstance(changes, dict):
        changes = {name: change for name, change in changes.items() if name not in _FIXED}
        place = _Place("spec", f"spec.overrides.{environment}")
        merged.spec = _fields(spec, changes, place, merged.origins)
    return merged


def override_problems(spec: dict[str, Any]) -> list[Problem]:
    """What is wrong with the overrides of any environment before they are merged."""
    overrides = spec.get("overrides")
    names = [name for _, name in _named(spec.get("components"))]
    problems = []
    for environment, changes in overrides.items() if isinstance(overrides, dict) else ():
        if not isinstance(changes, dict):
            continue
        at = f"spec.overrides.{environment}"
        problems += [Problem(f"{at}.{f}", f"{f} cannot be overridden; leave it out") for f in _FIXED if f in changes]
        problems += _component_problems(changes.get("components"), names, f"{at}.components")
    return problems


def _component_problems(components: Any, names: list[str], at: str) -> list[Problem]:
    if components is None:
        return []
    if not isinstance(components, list):
        return [Problem(at, f"must be a list, not {shown(components)}")]
    problems = []
    for i, component in enumerate(components):
        name = component.get("name") if isinstance(component, dict) else None
        if not isinstance(name, str):
            problems.append(Problem(f"{at}[{i}].name", "is missing: components are overridden by name"))
        elif name not in names:
            hint = did_you_mean(name, names)
            problems.append(
                Problem(f"{at}[{i}].name", f"there is no component {shown(name)} to override{hint} ({listed(names)})")
            )
    return problems


@dataclass(frozen=True)
class _Place:
    """The same place in the merged spec and in the override."""

    at: str
    origin: str

    def field(self, name: str) -> _Place:
        return _Place(f"{self.at}.{name}", f"{self.origin}.{name}")


def _fields(base: dict[str, Any], changes: dict[str, Any], place: _Place, origins: dict[str, str]) -> dict[str, Any]:
    merged = dict(base)
    for name, change in changes.items():
        below, old = place.field(name), base.get(name)
        if below.at == "spec.components" and isinstance(old, list) and isinstance(change, list):
            merged[name] = _components(old, change, below, origins)
        elif isinstance(old, dict) and isinstance(change, dict) and _is_alike(old, change):
            merged[name] = _fields(old, change, below, origins)
        else:
            merged[name] = change
            origins[below.at] = below.origin
    return merged


def _is_alike(old: dict[str, Any], change: dict[str, Any]) -> bool:
    return "kind" not in change or change["kind"] == old.get("kind")


def _components(base: list[Any], changes: list[Any], place: _Place, origins: dict[str, str]) -> list[Any]:
    merged = list(base)
    indices = {name: i for i, name in _named(base)}
    for j, name in _named(changes):
        if (i := indices.get(name)) is not None:
            item = _Place(f"{place.at}[{i}]", f"{place.origin}[{j}]")
            merged[i] = _fields(merged[i], changes[j], item, origins)
    return merged


def _named(components: Any) -> list[tuple[int, str]]:
    if not isinstance(components, list):
        return []
    return [(i, c["name"]) for i, c in enumerate(components) if isinstance(c, dict) and isinstance(c.get("name"), str)]
