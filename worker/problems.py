"""Says what is wrong with settings the way a person would: where, what, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workflows.errors import Problem

_Place = Sequence[str | int]


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Everything that pydantic found, in order, with the field that an unknown one may have meant.

    The value is never part of the sentence: it may be a secret.
    """
    return [_problem(details, model) for details in error.errors(include_url=False, include_input=False)]


def fields_at(model: type[BaseModel], place: _Place) -> set[str]:
    """The names that are allowed at a place, as people write them."""
    return {field.alias or name for owner in _models(model, list(place)) for name, field in owner.model_fields.items()}


def _problem(details: ErrorDetails, model: type[BaseModel]) -> Problem:
    place = details["loc"]
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        message = f"is no setting{_meant(str(place[-1]), fields_at(model, place[:-1]))}"
    elif details["type"] == "missing":
        message = "is required"
    return Problem(".".join(map(str, _without_tags(model, place))), message)


def _meant(word: str, known: set[str]) -> str:
    if close := get_close_matches(word, known, n=1):
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _models(annotation: Any, place: list[str | int]) -> Iterator[type[BaseModel]]:
    """The models that an annotation allows at a place below it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not place:
            yield annotation
            return
        for name, field in annotation.model_fields.items():
            if place[0] in (field.alias, name):
                yield from _models(field.annotation, place[1:])
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _models(arguments[0], place)
    elif origin is dict:
        yield from _models(arguments[1], place[1:])
    elif origin in (list, tuple):
        yield from _models(arguments[0], place[1:])
    elif arguments:
        tag = place[0] if place else None
        tagged = [member for member in arguments if tag is not None and _tag(member) == tag]
        for member in tagged or arguments:
            yield from _models(member, place[1:] if tagged else place)


def _tag(member: Any) -> str | None:
    kind = member.model_fields.get("kind") if isinstance(member, type) and issubclass(member, BaseModel) else None
    return next(iter(get_args(kind.annotation)), None) if kind else None


def _without_tags(model: type[BaseModel], place: _Place) -> list[str | int]:
    """A place as written: pydantic names the member of a union in it, which no file contains."""
    written: list[str | int] = []
    for index, part in enumerate(place):
        owners = list(_models(model, list(place[: index + 1])))
        before = list(_models(model, list(place[:index])))
        is_tag = bool(owners) and any(_tag(owner) == part for owner in owners) and set(owners) < set(before)
        if not is_tag:
            written.append(part)
    return written
