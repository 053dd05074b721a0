"""Selectors as PromQL writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from workflows.model.series import Matcher

NAME = "__name__"


def selector(names: Sequence[str], matchers: Iterable[Matcher]) -> str:
    """Series of any of the names whose labels meet every condition."""
    if len(names) == 1:
        return names[0] + _braces(matchers)
    return _braces([Matcher(NAME, "=~", "|".join(names)), *matchers])


def listed(matchers: Iterable[Matcher]) -> str:
    """Conditions without their braces, for a person's own query."""
    return ",".join(f'{each.label}{each.operator}"{_escaped(each.value)}"' for each in matchers)


def any_of(values: Iterable[str]) -> str:
    """A pattern that matches these texts and no others."""
    return "|".join(re.escape(value).replace("\\-", "-") for value in sorted(set(values)))


def _braces(matchers: Iterable[Matcher]) -> str:
    inside = listed(matchers)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
