"""Numbers in the JSON of other systems: which endpoint, and where in its answer.

An endpoint is a name: its address and its credentials are settings of the worker, so that a document can reach nothing
that the platform team did not mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from workflows.model.promql import variables
from workflows.model.shapes import Document, Name

Part = str | int | None
"""A key, an index, or None for every element."""

VARIABLES = ("cluster", "component", "namespace", "slot", "version", "workload")
"""What `{{name}}` may stand for."""

PER_VERSION = frozenset({"slot", "workload"})
"""Those that differ between the versions."""

_PART = re.compile(r'\.?(?P<key>[^.\[\]"{}\s]+)|\[(?P<index>\d{1,9})\]|\[(?P<every>\*)\]|\["(?P<quoted>[^"\]]+)"\]')


def parse_path(text: str) -> tuple[Part, ...]:
    """Reads `data.shops[0].rate`, with `[*]` for every element and `["a key"]`; ValueError says what is allowed."""
    parts: list[Part] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or (match["key"] and text.startswith(".", position) != bool(parts)):
            msg = f"{text!r} leads nowhere; write keys, indexes and [*], such as data.shops[0].rate"
            raise ValueError(msg)
        parts.append(_part(match))
        position = match.end()
    return tuple(parts)


def _part(match: re.Match[str]) -> Part:
    if match["every"]:
        return None
    return int(match["index"]) if match["index"] else match["key"] or match["quoted"]


def values_at(data: Any, path: tuple[Part, ...]) -> Iterator[Any]:
    """Everything that the path leads to. Errors: ValueError where it leads nowhere."""
    if not path:
        yield data
        return
    for below in _below(data, path[0]):
        yield from values_at(below, path[1:])


def _below(data: Any, part: Part) -> Iterable[Any]:
    match part, data:
        case None, list():
            return data
        case None, dict():
            return data.values()
        case str(), dict() if part in data:
            return (data[part],)
        case int(), list() if part < len(data):
            return (data[part],)
    raise ValueError(f"there is no {'[*]' if part is None else repr(part)} in it")


def known_variables(text: str) -> str:
    """The text. Errors: ValueError for a variable that there is not."""
    if strangers := [name for name in variables(text) if name not in VARIABLES]:
        msg = f"{{{{{strangers[0]}}}}} is no variable; there are {', '.join(VARIABLES)}"
        raise ValueError(msg)
    return text


def _checked(text: str) -> str:
    parse_path(text)
    return text


class WebValue(Document):
    """A number in the JSON answer of an endpoint."""

    endpoint: Name
    """An endpoint of the worker's settings (`metrics.<name>.web`), which has the address and the credentials."""
    query: Annotated[dict[Annotated[str, Field(min_length=1, max_length=100)], str], Field(max_length=20)] = {}
    """Parameters of the request; values may have the variables `{{component}}`, `{{namespace}}`, `{{cluster}}`,
    `{{workload}}`, `{{slot}}` and `{{version}}`, the new version's."""
    value: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_checked)]
    """Where the number is: keys and indexes such as `data.shops[0].rate`, `["a key"]`, and `[*]` for every element."""

    @field_validator("query")
    @classmethod
    def _known(cls, query: dict[str, str]) -> dict[str, str]:
        for text in query.values():
            known_variables(text)
        return query
