"""The documents' fields in words: what `headgate explain` finds at a path.

It walks the models themselves, so that a field cannot be there without its sentence.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cli.errors import BadInput
from workflows.model.complaints import did_you_mean
from workflows.model.documents import KINDS
from workflows.model.locations import alternatives, field_named, field_names, tags
from workflows.model.shapes import dump, format_duration, format_percent, parse_share, parse_weight

_CONTAINERS = {tuple: "list of ", list: "list of ", dict: "map of "}
_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true | false",
    timedelta: "duration (10m)",
}


@dataclass(frozen=True)
class Entry:
    """One field."""

    name: str
    type: str
    required: bool
    default: str
    description: str

    def to_json(self) -> dict[str, Any]:
        """The stable shape of a field in `explain -o json`."""
        return {
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "default": self.default or None,
            "description": self.description,
        }


@dataclass(frozen=True)
class Explanation:
    """A field or a document, and the fields below it by variant (`""` where there is only one)."""

    path: str
    type: str
    description: str
    variants: dict[str, tuple[Entry, ...]]

    def to_json(self) -> dict[str, Any]:
        """The stable shape of `explain -o json`."""
        variants = {name: [entry.to_json() for entry in entries] for name, entries in self.variants.items()}
        return {"path": self.path, "type": self.type, "description": self.description, "variants": variants}


def explain(path: str) -> Explanation:
    """What is at a path such as release.spec.components.strategy.canary.stages; list elements need no index.

    Errors: BadInput naming what there is instead.
    """
    kind, *steps = [part for part in path.replace("[", ".").replace("]", "").split(".") if part and not part.isdigit()]
    models = {name.lower(): model for name, model in KINDS.items()}
    if kind.lower() not in models:
        raise BadInput(f"explain {path}: start with {' or '.join(models)}{did_you_mean(kind.lower(), models)}.")
    model = models[kind.lower()]
    where = kind.lower()
    nodes: list[type[BaseModel]] = [model]
    field: FieldInfo | None = None
    for step in steps:
        nodes, field = _below(where, nodes, step, field)
        where += f".{step}"
    return Explanation(where, _type_of(field) if field else "document", _description(field, nodes), _variants(nodes))


def _below(
    where: str, nodes: list[type[BaseModel]], step: str, field: FieldInfo | None
) -> tuple[list[type[BaseModel]], FieldInfo | None]:
    """The models and the field under a name; a variant's `kind` narrows without going deeper."""
    chosen = [model for model in nodes if step in tags(model)]
    if chosen and len(nodes) > 1:
        return chosen, field
    for model in nodes:
        if found := field_named(model, step):
            return _models(found.annotation), found
    known = [*(tag for model in nodes if len(nodes) > 1 for tag in tags(model))]
    known += [name for model in nodes for name in field_names(model)]
    if not known:
        raise BadInput(f"explain: {where} has no fields.")
    listed = ", ".join(dict.fromkeys(known))
    raise BadInput(f"explain: {where} has no field {step!r}{did_you_mean(step, known)}; there are {listed}.")


def _models(annotation: Any) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    for node in alternatives(annotation):
        origin = get_origin(node)
        if origin in (tuple, list):
            found += _models(get_args(node)[0])
        elif origin is dict:
            found += _models(get_args(node)[1])
        elif isinstance(node, type) and issubclass(node, BaseModel):
            found.append(node)
    return found


def _variants(models: list[type[BaseModel]]) -> dict[str, tuple[Entry, ...]]:
    names = [(tags(model) or (model.__name__,))[0] if len(models) > 1 else "" for model in models]
    return {name: tuple(_entries(model)) for name, model in zip(names, models, strict=True)}


def _entries(model: type[BaseModel]) -> list[Entry]:
    return [
        Entry(field.alias or name, _type_of(field), field.is_required(), _default(field), _sentence(field))
        for name, field in model.model_fields.items()
    ]


def _sentence(field: FieldInfo) -> str:
    if field.description:
        return inspect.cleandoc(field.description)
    models = _models(field.annotation)
    return _summary(models[0]) if len(models) == 1 else ""


def _description(field: FieldInfo | None, models: list[type[BaseModel]]) -> str:
    said = inspect.cleandoc(field.description) if field and field.description else ""
    if len(models) == 1 and (summary := _summary(models[0])) and summary not in said:
        said = f"{said}\n{summary}".strip()
    return said


def _summary(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].replace("\n", " ")


_SHARE = "share (0.1%)"
_READ_BY = {parse_weight: "weight (5 or 0.5%)", parse_share: _SHARE}


def _type_of(field: FieldInfo) -> str:
    return _read_as(field.metadata) or _named(field.annotation)


def _read_as(metadata: Iterable[Any]) -> str:
    """What a number is written as, by the function that reads it; empty for all others."""
    readers = (getattr(each, "func", None) for each in metadata)
    return next((_READ_BY[reader] for reader in readers if reader in _READ_BY), "")


def _named(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_named(each) for each in arguments if each is not type(None)))
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in _CONTAINERS:
        return _CONTAINERS[origin] + _named(arguments[-1] if origin is dict else arguments[0])
    if arguments:  # Annotated
        return _read_as(arguments[1:]) or _named(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return tags(annotation)[0] if len(tags(annotation)) == 1 else annotation.__name__
    return _WORDS.get(annotation, "anything")


def _default(field: FieldInfo) -> str:
    value = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    match value:
        case None | "" | tuple() | dict():
            return ""
        case bool():
            return str(value).lower()
        case timedelta():
            return format_duration(value)
        case BaseModel():
            return ", ".join(f"{key} {item}" for key, item in dump(value).items())
        case float() if _type_of(field) == _SHARE:
            return format_percent(value * 100)
        case _:
            return str(value)
