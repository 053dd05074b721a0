"""Series selectors: the small part of PromQL's `name{label="value"}` that a direct scrape can answer.

Patterns are limited to a form that always matches in linear time, because they come from a document and run in the
event loop of a worker. Nothing here knows where series come from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

Operator = Literal["=", "!=", "=~", "!~"]

_SELECTOR = re.compile(r"^\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(?P<matchers>.*)\})?\s*$", re.DOTALL)
_MATCHER = re.compile(
    r"\s*(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)\s*(?P<operator>=~|!~|!=|=)\s*\"(?P<value>(?:[^\"\\]|\\.)*)\"\s*"
)
_ALTERNATIVE = r"(?:[\w./: -]|\[[\w-]+\])*(?:\.[*+])?"
_LINEAR = re.compile(rf"^{_ALTERNATIVE}(?:\|{_ALTERNATIVE})*$")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; a missing label counts as an empty one, as in PromQL."""

    label: str
    operator: Operator
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels meets the condition."""
        found = labels.get(self.label, "")
        if self.operator in {"=", "!="}:
            return (found == self.value) == (self.operator == "=")
        return (re.fullmatch(self.value, found) is not None) == (self.operator == "=~")


@dataclass(frozen=True)
class Selector:
    """Series of one name whose labels meet every condition."""

    name: str
    matchers: tuple[Matcher, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series of this name with these labels is meant."""
        return all(matcher.matches(labels) for matcher in self.matchers)


def parse_selector(text: str) -> Selector:
    """Reads `name{label="value", other=~"5.."}`; ValueError says what is wrong and what is allowed."""
    match = _SELECTOR.match(text)
    if match is None:
        msg = (
            f'{text!r} is not a series selector; write a metric name, with labels if needed: queue_depth{{queue="ai"}}'
        )
        raise ValueError(msg)
    return Selector(match["name"], tuple(_matchers(match["matchers"] or "", text)))


def parse_conditions(text: str) -> tuple[Matcher, ...]:
    """Reads `label="value", other=~"a.*"`, with braces around or without; ValueError says what is wrong."""
    found = tuple(_matchers(text.strip().removeprefix("{").removesuffix("}"), text))
    if not found:
        msg = f'{text!r} has no condition; write label="value", joined by commas, such as pod=~"shop-7f9c.*"'
        raise ValueError(msg)
    return found


def _matchers(inside: str, text: str) -> list[Matcher]:
    found: list[Matcher] = []
    position = 0
    while inside[position:].strip(" ,\n\t"):
        match = _MATCHER.match(inside, position)
        if match is None:
            msg = f'{text!r} has a label condition that cannot be read; write label="value", joined by commas'
            raise ValueError(msg)
        found.append(_matcher(match, text))
        position = match.end()
        if position < len(inside) and inside[position] == ",":
            position += 1
        elif position < len(inside):
            msg = f"{text!r} needs a comma between its label conditions"
            raise ValueError(msg)
    return found


def _matcher(match: re.Match[str], text: str) -> Matcher:
    value = _ESCAPED.sub(r"\1", match["value"])
    operator: Operator = match["operator"]  # type: ignore[assignment]
    if operator in {"=~", "!~"}:
        _require_linear(value, text)
    return Matcher(match["label"], operator, value)


def _require_linear(pattern: str, text: str) -> None:
    if _LINEAR.match(pattern):
        try:
            re.compile(pattern)
        except re.error:
            pass
        else:
            return
    msg = (
        f"{text!r} uses the pattern {pattern!r}; allowed are letters, digits, '.', classes such as [45] and "
        "alternatives with |, each of which may end in .* or .+"
    )
    raise ValueError(msg)


def _checked(text: str) -> str:
    parse_selector(text)
    return text


SeriesSelector = Annotated[
    str, Field(min_length=1, max_length=500, examples=['queue_depth{queue="ai"}']), AfterValidator(_checked)
]
"""A metric name with label conditions, as text; `parse_selector` reads it."""
