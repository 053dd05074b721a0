"""JSON Patch (RFC 6902) as an API server applies it, on objects in memory."""

from __future__ import annotations

import copy
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.patch import Operation


class Refused(Exception):
    """A test of the patch failed."""


def patched(there: Object, operations: list[Operation]) -> Object:
    """The object after a patch that carries `test`, `add` and `remove`."""
    result = copy.deepcopy(there)
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        parent: Any = result
        for part in way:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        key: Any = int(last) if isinstance(parent, list) else last
        match operation["op"]:
            case "test":
                found = parent[key] if isinstance(parent, list) else parent.get(key)
                if found != operation["value"]:
                    raise Refused(operation)
            case "add" if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(operation["value"]))
            case "add":
                parent[key] = copy.deepcopy(operation["value"])
            case "remove":
                del parent[key]
            case unknown:
                raise ValueError(unknown)
    return result
