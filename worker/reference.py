"""The reference pages that come from the code: `python -m worker.reference` writes them, a test finds stale ones."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from worker.measures import MEASURES
from worker.settings import Settings
from workflows.model.shapes import format_duration

DIRECTORY = Path("docs/reference")

_MADE = "<!-- Made by `python -m worker.reference`; edit the code instead. -->"
_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    timedelta: "duration",
    Path: "path",
    SecretStr: "secret",
}


class Row(NamedTuple):
    """One setting."""

    path: str
    type: str
    default: str
    meaning: str


def pages() -> dict[str, str]:
    """Every page that is made here, by file name."""
    return {"settings.md": settings_page(), "metrics.md": metrics_page()}


def settings_page() -> str:
    """All settings of a worker, a section for each group."""
    plain, sections = [], []
    for name, field in Settings.model_fields.items():
        models = list(_models(field.annotation))
        if not models:
            plain.append(_row(field.alias or name, field))
            continue
        sections.append(_section(field.alias or name, field, models))
    parts = [_MADE, "# Settings of a worker", _INTRODUCTION, _table(plain), *sections]
    return "\n\n".join(parts) + "\n"


def metrics_page() -> str:
    """All metrics of ours, and the alerts that belong to them."""
    metrics = [(f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels) or "–", m.help) for m in MEASURES]
    alerts = [(name, f"`{expression}`", why) for name, expression, why in _ALERTS]
    parts = [
        _MADE,
        "# Metrics of a worker",
        _METRICS,
        _lines(("metric", "kind", "labels", "meaning"), metrics),
        "## Alerts that matter",
        _lines(("alert", "expression", "why"), alerts),
        _HONESTY,
    ]
    return "\n\n".join(parts) + "\n"


def _section(name: str, field: FieldInfo, models: list[type[BaseModel]]) -> str:
    is_named = get_origin(_bare(field.annotation)) is dict
    path = f"{name}.<name>" if is_named else name
    said = inspect.cleandoc(field.description or models[0].__doc__ or "")
    parts = [f"## {name}", said]
    for model in models:
        if is_named:
            summary = inspect.cleandoc(model.__doc__ or "").split("\n")[0]
            kind = get_args(model.model_fields["kind"].annotation)[0]
            parts.append(f"### kind: {kind}\n\n{summary}")
        parts.append(_table(list(_rows(path, model))))
    return "\n\n".join(parts)


def _rows(path: str, model: type[BaseModel]) -> Iterator[Row]:
    for name, field in model.model_fields.items():
        place = f"{path}.{field.alias or name}"
        if inner := list(_models(field.annotation)):
            is_named = get_origin(_bare(field.annotation)) is dict
            yield from _rows(f"{place}.<name>" if is_named else place, inner[0])
        elif name != "kind":
            yield _row(place, field)


def _row(path: str, field: FieldInfo) -> Row:
    meaning = " ".join(inspect.cleandoc(field.description or "").split())
    return Row(path, _type(field.annotation), "required" if field.is_required() else _default(field), meaning)


def _table(rows: list[Row]) -> str:
    if not rows:
        return "No settings."
    return _lines(("setting", "type", "default", "meaning"), [(f"`{row.path}`", *row[1:]) for row in rows])


def _lines(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    match value:
        case None | () | "":
            return "none"
        case dict():
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return f"`{format_duration(value)}`"
        case tuple():
            return f"`{', '.join(map(str, value))}`"
        case _:
            return f"`{value}`"


def _bare(annotation: Any) -> Any:
    """The annotation without Annotated and without None."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _bare(members[0]) if len(members) == 1 else annotation
    return annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    bare = _bare(annotation)
    if get_origin(bare) is dict:
        yield from _models(get_args(bare)[1])
    elif get_origin(bare) in (Union, types.UnionType):
        for member in get_args(bare):
            yield from _models(member)
    elif isinstance(bare, type) and issubclass(bare, BaseModel):
        yield bare


def _type(annotation: Any) -> str:
    bare = _bare(annotation)
    origin, arguments = get_origin(bare), get_args(bare)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is dict:
        return f"{_type(arguments[1])} by name"
    if origin in (tuple, list):
        inner = [item for item in arguments if item is not Ellipsis]
        return f"list of {_type(inner[0])}"
    if origin in (Union, types.UnionType):
        return " or ".join(_type(member) for member in arguments)
    return _WORDS.get(bare, "text")


_INTRODUCTION = """\
`headgate worker --settings FILE` reads one YAML file; `HEADGATE_SETTINGS` names it too. Any setting can be given or
overridden by a variable: `HEADGATE_` and the path in capitals, with two underscores for each dot and one between words,
so `slots.workflowTasks` is `HEADGATE_SLOTS__WORKFLOW_TASKS`. A value that starts with `{` or `[` is JSON, `null` is
nothing, an empty variable counts as not given.

Unknown settings are refused with the one that was probably meant. Relative paths start at the settings file, without
one at the working directory. Durations are written like `30s` or `1m30s`. Values of secrets never appear in logs or
errors.

How Temporal is reached is not set here: a worker reads the profile file and the `TEMPORAL_*` variables of the
`temporal` CLI."""

_METRICS = """\
`/metrics` of the health address serves these beside the metrics of Temporal's SDK (`temporal_*`) and of the process
(`process_*`).

The gauges are no diary of this worker. Each worker reads them, when it is scraped and at most every ten seconds, from
the marks on the targets and from the Temporal server, which knows when an observer last gave a sign of life and keeps
that time when the observer's worker dies. So every worker tells the same about all releases: take the `max` over
workers, never the `sum`. Counters and histograms count what ended on this worker: take the `sum`. A workflow task that
is executed again after a crash may count its release twice."""

_ALERTS = (
    (
        "nobody observes",
        "max by (environment, release, component) (headgate_last_observation_age_seconds) > 60",
        "users reach a new version and no worker watches it",
    ),
    (
        "no worker at all",
        "absent(headgate_worker_ready) or max(headgate_worker_ready) == 0",
        "without a worker nothing can roll back, and nobody tells the age above",
    ),
    (
        "the numbers are old",
        "min(headgate_census_age_seconds) > 120",
        "no worker can read the marks or reach Temporal",
    ),
    (
        "targets are left behind",
        "min_over_time(headgate_targets_orphaned[2m]) > 0",
        "the janitor does not settle what a lost release left",
    ),
    (
        "marks are not read",
        "min_over_time(headgate_marks_unread[2m]) > 0",
        "nobody settles what lost releases left there, and no other alert can tell of it",
    ),
)

_HONESTY = """\
A sign of life says that an observer runs, not that its metrics have data: a release that lacks data holds, and says so
in its status. The first series of a counter appears with its first event. Ages compare this worker's clock with the
server's."""


def main() -> None:
    """Writes every page."""
    for name, text in pages().items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
