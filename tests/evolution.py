"""What every message looks like today, compared with what it was promised to look like for ever.

`python -m tests.evolution` adds new fields and messages to `evolution.json`. It never changes or removes a line: who
must do that edits the file by hand, and says in the commit why no running release and no older worker can stumble.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

import workflows.analysis
import workflows.contracts
import workflows.engine
import workflows.model
from workflows.model.shapes import Message

PROMISES = Path(__file__).with_suffix(".json")

Fields = dict[str, str]
"""Types by name on the wire; a field without a default ends with an exclamation mark."""


def contracts() -> Iterator[type]:
    """The contract of every family."""
    for module in _modules(workflows.contracts):
        yield from (item for item in vars(module).values() if inspect.isclass(item) and inspect.isabstract(item))


def messages() -> list[type[Message]]:
    """Every message there is, evidence included."""
    for package in (workflows.model, workflows.contracts, workflows.analysis, workflows.engine):
        list(_modules(package))
    return sorted(_below(Message), key=_name)


def activities() -> dict[str, tuple[list[Any], Any]]:
    """What each activity takes and answers, by its name in history."""
    found = {}
    for contract in contracts():
        for method in vars(contract).values():
            if definition := getattr(method, "__temporal_activity_definition", None):
                hints = get_type_hints(method, include_extras=True)
                answer = hints.pop("return")
                found[definition.name] = (list(hints.values()), answer)
    return found


def survey() -> dict[str, dict[str, Any]]:
    """Everything that histories, heartbeats and marks hold, in the form of `evolution.json`."""
    return {
        "activities": {
            name: f"({', '.join(map(written, taken))}) -> {written(answer)}"
            for name, (taken, answer) in sorted(activities().items())
        },
        "messages": {_name(message): _fields(message) for message in messages()},
    }


def promised() -> dict[str, dict[str, Any]]:
    """What was recorded."""
    found: dict[str, dict[str, Any]] = json.loads(PROMISES.read_text(encoding="utf-8"))
    return found


def _fields(message: type[Message]) -> Fields:
    return {
        field.alias or name: written(field.annotation) + ("!" if field.is_required() else "")
        for name, field in message.model_fields.items()
    }


def written(annotation: Any) -> str:  # noqa: PLR0911 - one line for each sort of type.
    """An annotation in one spelling, whatever the version of Python."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return written(arguments[0])
    if origin is Literal:
        return " | ".join(json.dumps(value) for value in sorted(arguments))
    if origin in (Union, UnionType):
        return " | ".join(sorted(map(written, arguments)))
    if origin is not None:
        return f"{origin.__name__}[{', '.join('...' if a is Ellipsis else written(a) for a in arguments)}]"
    if annotation is NoneType:
        return "null"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return _name(annotation)
    return getattr(annotation, "__name__", str(annotation))


def samples(annotation: Any) -> list[Any]:  # noqa: PLR0911 - one line for each sort of type.
    """Values of a type: together they show every alternative of every union at least once, and no field is empty."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return samples(arguments[0])
    if origin is Literal:
        return list(arguments)
    if origin in (Union, UnionType):
        return [value for argument in arguments if argument is not NoneType for value in samples(argument)]
    if origin is tuple:
        return [tuple(samples(arguments[0]))] if arguments[1:] == (...,) else [tuple(samples(a)[0] for a in arguments)]
    if origin is list:
        return [samples(arguments[0])]
    if origin is dict:
        keys, values = samples(arguments[0]), samples(arguments[1])
        return [{key: values[i % len(values)] for i, key in enumerate(keys)}]
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return _models(annotation)
    return [_PLAIN[annotation]]


_PLAIN: dict[Any, Any] = {
    Any: "anything",
    bool: True,
    datetime: datetime.fromisoformat("2026-01-02T03:04:05+00:00"),
    float: 1.5,
    int: 7,
    str: "text",
}


def _models(model: type[BaseModel]) -> list[Any]:
    values = {name: samples(field.annotation) for name, field in model.model_fields.items()}
    count = max(map(len, values.values()), default=1)
    return [
        model.model_validate({name: found[i % len(found)] for name, found in values.items()}, by_name=True)
        for i in range(count)
    ]


def grown(annotation: Any, data: Any) -> Any:
    """The JSON of a value, with one more field in each message at every depth."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return grown(arguments[0], data)
    if origin in (Union, UnionType):
        return grown(_chosen(arguments, data), data)
    if origin in (tuple, list):
        inner = arguments if origin is tuple and arguments[1:] != (...,) else (arguments[0],) * len(data)
        return [grown(kind, item) for kind, item in zip(inner, data, strict=True)]
    if origin is dict:
        return {key: grown(arguments[1], item) for key, item in data.items()}
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        return {name: grown(fields[name], item) for name, item in data.items()} | {"fieldOfTomorrow": [{"new": 1}]}
    return data


def _chosen(alternatives: tuple[Any, ...], data: Any) -> Any:
    """The alternative that the data is of; unions of messages are told apart by `kind`."""
    if data is None:
        return NoneType
    real = [alternative for alternative in alternatives if alternative is not NoneType]
    if len(real) == 1 or not isinstance(data, dict):
        return real[0]
    return next(item for item in real if data["kind"] in get_args(item.model_fields["kind"].annotation))


def _name(model: type) -> str:
    return f"{model.__module__.removeprefix('workflows.')}.{model.__name__}"


def _below(base: type[Message]) -> set[type[Message]]:
    direct = {item for item in base.__subclasses__() if item.__module__.startswith("workflows.")}
    return direct.union(*(_below(item) for item in direct))


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(info.name)


def main() -> None:
    """Adds what is new to the promises."""
    known, now = promised() if PROMISES.exists() else {}, survey()
    for part in now:
        for name, item in now[part].items():
            before = known.setdefault(part, {}).get(name)
            known[part][name] = {**item, **before} if isinstance(before, dict) else before or item
    PROMISES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{PROMISES}: {sum(map(len, known['messages'].values()))} fields")


if __name__ == "__main__":
    main()
