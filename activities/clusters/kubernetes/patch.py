"""JSON Patches (RFC 6902) that test what they replace: the one way in which Headgate changes an object.

A whole object or a server-side apply would own lists that other people's fields are in, and `resourceVersion` moves
with every status update; so a patch names the fields that it sets, and tests fence and old values in the same request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

Operation = dict[str, Any]
Path = tuple[str | int, ...]


def pointer(path: Path) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def test(path: Path, value: Any) -> Operation:
    """Fails the whole patch unless the field has this value; None stands for a field that is not there."""
    return {"op": "test", "path": pointer(path), "value": value}


def put(path: Path, value: Any) -> Operation:
    """Sets a field of an object that is there, new or not."""
    return {"op": "add", "path": pointer(path), "value": value}


def drop(path: Path) -> Operation:
    """Takes a field away that is there."""
    return {"op": "remove", "path": pointer(path)}


def entries(there: Mapping[str, Any], path: Path, wanted: Mapping[str, str | None]) -> list[Operation]:
    """Sets and drops entries of a map of an object, such as annotations, whether the map is there or not."""
    found = at(there, path)
    if not isinstance(found, Mapping):
        values = {key: value for key, value in wanted.items() if value is not None}
        return [test(path, None), put(path, values)] if values else []
    operations = []
    for key, value in wanted.items():
        if value is None and key in found:
            operations.append(drop((*path, key)))
        elif value is not None and found.get(key) != value:
            operations.append(put((*path, key), value))
    return operations


def replace(there: Mapping[str, Any], path: Path, value: Any) -> list[Operation]:
    """Sets a field, or drops it for None, after testing that it still is what was read; nothing when it is so."""
    found = at(there, path)
    return [] if found == value else [test(path, found), drop(path) if value is None else put(path, value)]


def patched(there: Mapping[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """The object after a patch, as the API server applies it. Errors: ValueError when a test fails."""
    result: dict[str, Any] = deepcopy(dict(there))
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        parent: Any = result
        for part in way:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        _apply(operation, parent, int(last) if isinstance(parent, list) else last)
    return result


def _apply(operation: Operation, parent: Any, key: Any) -> None:
    match operation["op"]:
        case "test":
            found = parent[key] if isinstance(parent, list) else parent.get(key)
            if found != operation["value"]:
                raise ValueError(f"{operation['path']} is {found}, not {operation['value']}")
        case "add" if isinstance(parent, list):
            parent.insert(key, deepcopy(operation["value"]))
        case "add":
            parent[key] = deepcopy(operation["value"])
        case _:
            del parent[key]


def at(there: Any, path: Iterable[str | int]) -> Any:
    """The field of an object; None where it is not there."""
    for part in path:
        if isinstance(there, Mapping):
            there = there.get(str(part))
        elif isinstance(there, list) and isinstance(part, int) and part < len(there):
            there = there[part]
        else:
            return None
    return there
