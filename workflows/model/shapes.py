"""The shapes every document and message shares: base classes, durations, percentages, names.

User documents refuse what they do not know; everything Headgate writes for itself ignores it, because one unknown
field in an activity result would fail a release in the middle, before any of our code runs.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

D = TypeVar("D", bound="Document")

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class Document(BaseModel):
    """Something a person writes: frozen, camelCase, and every unknown field is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        strict=False,
    )


class Message(BaseModel):
    """Something Headgate writes for itself: frozen, and unknown fields are ignored.

    Every field added after the first release needs a default, and none is ever removed or retyped.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LONGEST = 365 * _UNITS["d"]
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_DURATION = re.compile(r"^(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+$")


def parse_duration(value: object) -> timedelta:
    """`30s`, `10m`, `1h30m`, `250ms` as a timedelta; bare numbers are refused because their unit would be a guess."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.match(value.strip()):
        msg = f"{value!r} is not a duration; write a number with a unit, such as 30s, 10m or 1h30m"
        raise ValueError(msg)
    seconds = sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(value))
    if seconds > _LONGEST:
        msg = f"{value!r} is longer than the 365 days that any wait may take"
        raise ValueError(msg)
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """The shortest exact way to write a duration, the inverse of `parse_duration`."""
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern, "examples": ["30s", "10m", "1h30m"]}),
]

_PERCENT = re.compile(r"^(\d+(?:\.\d+)?)\s*%$")


def parse_weight(value: object) -> float:
    """`5` or `"0.5%"` as percent; at most two decimals, because that is what routers can express."""
    number = value
    if isinstance(value, str) and (match := _PERCENT.match(value.strip())):
        number = float(match[1])
    if isinstance(number, bool) or not isinstance(number, int | float):
        msg = f"{value!r} is not a weight; write a percentage from 0 to 100, such as 5 or '0.5%'"
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError only
    if not 0 <= number <= 100 or round(number, 2) != number:
        msg = f"{value!r} is not a weight; allowed are 0 to 100 percent with at most two decimals"
        raise ValueError(msg)
    return float(number)


def parse_share(value: object) -> float:
    """`"0.1%"` as a fraction; a bare number is refused, because 0.1 has been read both ways too often."""
    if isinstance(value, str) and (match := _PERCENT.match(value.strip())):
        share = float(match[1]) / 100
        if share <= 1:
            return share
    msg = f"{value!r} is not a share; write it with a percent sign from 0% to 100%, such as 0.1%"
    raise ValueError(msg)


def format_percent(value: float) -> str:
    """A percentage without needless digits: 5%, 0.5%, 99.95%."""
    return f"{round(value, 4):g}%"


Weight = Annotated[
    float,
    BeforeValidator(parse_weight),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 100},
                {"type": "string", "pattern": _PERCENT.pattern},
            ]
        }
    ),
]
"""A percentage of traffic, 0 to 100."""

Share = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(lambda share: format_percent(share * 100), return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PERCENT.pattern, "examples": ["0.1%"]}),
]
"""A fraction from 0 to 1, written with a percent sign."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""What Headgate builds workflow ids and labels from."""

SENTENCE_LIMIT = 2000
"""Characters of a sentence that is carried and shown."""


def cut_sentence(text: str) -> str:
    """What is too long without its end."""
    return text if len(text) <= SENTENCE_LIMIT else f"{text[: SENTENCE_LIMIT - 1]}…"


Sentence = Annotated[str, AfterValidator(cut_sentence)]
"""What people read; cut, because the server ends a workflow that sends a few megabytes of it."""

Version = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]


def dump(model: BaseModel) -> dict[str, Any]:
    """The JSON form of a document or message, defaults left out, as a person would have written it."""
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def carried(document: type[D], data: dict[str, Any]) -> D:
    """Reads a document that travelled inside a message; fields that a newer worker added are ignored.

    Only `parse` in `documents.py` reads what a person wrote, and that one refuses unknown fields.
    """
    return document.model_validate(data, extra="ignore")
