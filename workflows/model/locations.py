"""Where in a document an error is: pydantic's location as a path that people can follow, and the field found there."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Location:
    """A place in a document."""

    path: str
    """Such as `spec.components[0].strategy.stages[1].weight`."""
    owner: type[BaseModel] | None = None
    """The model that has, or was thought to have, the last field of the path."""
    field: FieldInfo | None = None
    """That field; None when there is none of that name."""


def locate(root: type[BaseModel], location: tuple[int | str, ...]) -> Location:
    """Follows pydantic's location; parts that only name a union's variant or a validator are left out of the path."""
    nodes: list[Any] = [root]
    path: list[str] = []
    owner: type[BaseModel] | None = None
    field: FieldInfo | None = None
    for part in location:
        variants = [node for each in nodes for node in alternatives(each)]
        if part == "[key]":  # What follows the name that was refused as a name.
            continue
        if isinstance(part, int):
            path.append(f"[{part}]")
            nodes = [item for node in variants for item in _items(node)]
            continue
        models = [node for node in variants if _is_model(node)]
        chosen = [model for model in models if part in tags(model)]
        # Of a single model the tag is known already, so a namesake of the tag is a field.
        if chosen and (len(models) > 1 or field_named(chosen[0], part) is None):
            nodes = chosen
            continue
        if len(models) > 1:
            continue
        if not models:
            values = [get_args(node)[1] for node in variants if get_origin(node) is dict]
            if values:
                path.append(f".{part}")
                nodes, owner, field = values, None, FieldInfo.from_annotation(values[0])
            continue
        owner, field = models[0], field_named(models[0], part)
        path.append(f".{part}")
        nodes = [field.annotation] if field else []
    return Location("".join(path).lstrip("."), owner, field)


def field_named(model: type[BaseModel], name: str) -> FieldInfo | None:
    """A model's field by the name people write."""
    return next((field for field in model.model_fields.values() if field.alias == name), None)


def field_names(model: type[BaseModel]) -> list[str]:
    """The names people write."""
    return [field.alias or name for name, field in model.model_fields.items()]


def tags(model: type[BaseModel]) -> tuple[str, ...]:
    """The values of `kind` that choose this model."""
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind and get_origin(kind.annotation) is Literal else ()


def alternatives(annotation: Any) -> Iterator[Any]:
    """The types an annotation allows, None left out."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for each in get_args(annotation):
            if each is not type(None):
                yield from alternatives(each)
    else:
        yield annotation


def _items(node: Any) -> tuple[Any, ...]:
    return get_args(node)[:1] if get_origin(node) in (tuple, list) else ()


def _is_model(node: Any) -> bool:
    return isinstance(node, type) and issubclass(node, BaseModel)
