"""What is wrong with a value, in a sentence: pydantic's findings in the words of somebody who writes a spec."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from workflows.errors import Problem
from workflows.model.locations import Location, alternatives, field_names, locate, tags
from workflows.model.shapes import NAME_PATTERN

Finding = Mapping[str, Any]
"""One entry of pydantic's `ValidationError.errors()`."""

_PATTERNS = {
    NAME_PATTERN: "a name: lower case letters, digits and dashes, at most 63, with a letter or digit at both ends",
    r"^[A-Za-z0-9][A-Za-z0-9._+-]*$": "a version: letters, digits and . _ + -, beginning with a letter or digit",
    r"^[a-z0-9][A-Za-z0-9._:/@-]*$": "an image, such as registry.example/team/service",
    r"^[a-z]([-a-z0-9]{0,49}[a-z0-9])?$": "the name of a Service: lower case letters, digits and dashes, at most 51",
    r"^[a-z0-9]([-a-z0-9.]{0,230}[a-z0-9])?$": "an object's name: lower case letters, digits, dashes and dots",
    r"^(\*\.)?[a-z0-9]([-a-z0-9.]{0,249}[a-z0-9])?$": "a host name, or *. and a domain, as an Ingress has it",
    r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$": "a subset's name: letters, digits, dashes, dots, at most 63",
    r"^/\S*$": "a path: it begins with / and has no spaces",
    r"^[A-Za-z0-9-]{1,64}$": "a header name: letters, digits and dashes, at most 64",
    r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$": "a host name: lower case letters, digits, dashes and dots",
}
_WANTED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be fields with values",
    "model_type": "must be fields with values",
    "model_attributes_type": "must be fields with values",
    "string_unicode": "must be text without broken characters",
    "invalid_key": "has a field whose name is not text",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every finding once, in the order of the document; the branches of a union become one sentence."""
    found: dict[str, list[tuple[Finding, Location]]] = {}
    for details in error.errors(include_url=False):
        if _is_echo(details):
            continue
        location = locate(model, details["loc"])
        path = f"{location.path}.kind".lstrip(".") if details["type"].startswith("union_tag") else location.path
        found.setdefault(path, []).append((details, location))
    return [Problem(path, _sentence(findings)) for path, findings in found.items()]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the closest known word, or nothing."""
    known = list(known)
    folded = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def listed(words: Iterable[str]) -> str:
    """Words as a list in a sentence."""
    return ", ".join(words) or "none"


def shown(value: object) -> str:
    """A value as it was written, cut to what a sentence can hold."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "this value"
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_echo(details: Finding) -> bool:
    """Whether a list is called too short only because its items are wrong, which is said elsewhere."""
    least = details.get("ctx", {}).get("min_length", 0)
    return details["type"] == "too_short" and isinstance(details["input"], list) and len(details["input"]) >= least


def _sentence(findings: Sequence[tuple[Finding, Location]]) -> str:
    if len(findings) > 1 and (choice := _choice(findings)):
        return choice
    details, location = findings[0]
    special = _SPECIAL.get(details["type"])
    if special:
        return special(details, location)
    if wanted := _WANTED.get(details["type"]):
        return f"{wanted}, not {shown(details['input'])}"
    message = details["msg"]
    return f"{shown(details['input'])} is not allowed: {message[:1].lower()}{message[1:]}"


def _choice(findings: Sequence[tuple[Finding, Location]]) -> str | None:
    """One sentence for a value that none of a union's simple variants takes."""
    location = findings[0][1]
    if location.field is None:
        return None
    words: list[str] = []
    for each in alternatives(location.field.annotation):
        if get_origin(each) is Literal:
            words += [str(word) for word in get_args(each)]
        elif each in (int, float):
            words.append("a number in the allowed range")
    return f"{shown(findings[0][0]['input'])} is not allowed; use {' or '.join(words)}" if words else None


def _missing(_: Finding, location: Location) -> str:
    description = (location.field.description or "") if location.field else ""
    first = " ".join(description.split("\n\n")[0].split()).rstrip(".")
    return f"is missing: {first[:1].lower()}{first[1:]}" if first else "is missing"


def _unknown(details: Finding, location: Location) -> str:
    known = field_names(location.owner) if location.owner else []
    name = str(details["loc"][-1])
    return f"there is no field {shown(name)} here{did_you_mean(name, known)} (fields are {listed(known)})"


def _literal(details: Finding, location: Location) -> str:
    annotation = location.field.annotation if location.field else None
    allowed = [str(w) for each in alternatives(annotation) if get_origin(each) is Literal for w in get_args(each)]
    allowed = allowed or re.findall(r"'([^']*)'", str(_context(details).get("expected", "")))
    value = details["input"]
    hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
    return f"{shown(value)} is not allowed{hint} (allowed: {listed(allowed)})"


def _untagged(_: Finding, location: Location) -> str:
    return f"is missing (allowed: {listed(_kinds(location))})"


def _wrong_tag(details: Finding, location: Location) -> str:
    kind, kinds = _context(details).get("tag", ""), _kinds(location)
    return f"{shown(kind)} is not known{did_you_mean(str(kind), kinds)} (known: {listed(kinds)})"


def _kinds(location: Location) -> list[str]:
    annotation = location.field.annotation if location.field else None
    found: list[str] = []
    pending = list(alternatives(annotation))
    while pending:
        each = pending.pop(0)
        if get_origin(each) is tuple:
            pending += [a for item in get_args(each)[:1] for a in alternatives(item)]
        elif isinstance(each, type) and issubclass(each, BaseModel):
            found += tags(each)
    return found


def _pattern(details: Finding, _: Location) -> str:
    pattern = str(_context(details).get("pattern", ""))
    return f"{shown(details['input'])} is not {_PATTERNS.get(pattern, f'of the form {pattern}')}"


def _value(details: Finding, _: Location) -> str:
    error = _context(details).get("error")
    return str(error) if error is not None else details["msg"]


def _limit(word: str, key: str) -> Callable[[Finding, Location], str]:
    def sentence(details: Finding, _: Location) -> str:
        return f"{shown(details['input'])} must be {word} {_context(details).get(key)}"

    return sentence


def _length(word: str, key: str, unit: str) -> Callable[[Finding, Location], str]:
    def sentence(details: Finding, _: Location) -> str:
        limit = _context(details).get(key)
        return f"must have at {word} {limit} {unit}{'' if limit == 1 else 's'}"

    return sentence


def _context(details: Finding) -> Mapping[str, Any]:
    context: Mapping[str, Any] = details.get("ctx", {})
    return context


_SPECIAL: dict[str, Callable[[Finding, Location], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _literal,
    "union_tag_not_found": _untagged,
    "union_tag_invalid": _wrong_tag,
    "string_pattern_mismatch": _pattern,
    "value_error": _value,
    "greater_than_equal": _limit("at least", "ge"),
    "greater_than": _limit("more than", "gt"),
    "less_than_equal": _limit("at most", "le"),
    "less_than": _limit("less than", "lt"),
    "too_short": _length("least", "min_length", "item"),
    "too_long": _length("most", "max_length", "item"),
    "string_too_short": _length("least", "min_length", "character"),
    "string_too_long": _length("most", "max_length", "character"),
}
