"""The rows of a CSV of ticks: what each version counted of each metric between one time and the next.

Nothing is guessed: a row that is wrong is refused with its line, its column, what is written there and what may be.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cli.moments import moment
from workflows.analysis.batches import BAD, TOTAL
from workflows.errors import Problem, SpecError
from workflows.model.analysis import Analysis, GaugeMetric, HistogramMetric, Metric, RatioMetric
from workflows.model.target import SLOTS, Slot

EDGE = "le_"
"""Columns of a histogram begin so, and go on with the edge in seconds."""

_MOST = 20
"""Problems that are told at once."""
_NAMES = ("time", "version", "metric")
_OPTIONAL = ("stage", TOTAL, BAD, "value")
_WANTED: dict[type, tuple[str, ...]] = {RatioMetric: (TOTAL, BAD), HistogramMetric: (TOTAL,), GaugeMetric: ("value",)}
_LARGEST = 2.0**53


@dataclass(frozen=True)
class Row:
    """What one version counted of one metric in a tick."""

    line: int
    at: float
    slot: Slot
    metric: Metric
    stage: str
    numbers: Mapping[str, float]
    """By column."""


class _WrongCell(Exception):
    def __init__(self, column: str, value: str | None, allowed: str) -> None:
        super().__init__(f"{f'{value!r} is not allowed' if value else 'it is empty'}; {allowed}")
        self.column = column


def rows_of(text: str, analysis: Analysis) -> list[Row]:
    """The rows of a text. Errors: SpecError with the line, column and value of all that is wrong, 20 at most."""
    lines = csv.DictReader(text.splitlines(), restkey="more", restval="", strict=True)
    _check_header(lines.fieldnames or ())
    found, problems = [], []
    try:
        for line in lines:
            try:
                found.append(_row(lines.line_num, line, analysis))
            except _WrongCell as wrong:
                problems.append(Problem(wrong.column, str(wrong), lines.line_num))
    except csv.Error as error:
        problems.append(Problem("", f"no CSV from here on: {error}", lines.line_num))
    problems += _disorder(found)
    if problems:
        raise SpecError(sorted(problems, key=lambda problem: problem.line or 0)[:_MOST])
    if all(row.slot != "canary" for row in found):
        raise SpecError([Problem("version", "no row is of canary, the new version, so there is nothing to judge")])
    return found


def _check_header(columns: Sequence[str]) -> None:
    problems = [f"column {name} is missing" for name in _NAMES if name not in columns]
    for name in columns:
        if columns.count(name) > 1:
            problems.append(f"column {name} is there twice")
        if name not in (*_NAMES, *_OPTIONAL) and not is_edge(name):
            allowed = ", ".join((*_NAMES, *_OPTIONAL))
            problems.append(f"column {name!r} is not known; there are {allowed}, and le_SECONDS such as le_0.25")
    if problems:
        raise SpecError([Problem("header", problem, 1) for problem in dict.fromkeys(problems)])


def is_edge(column: str) -> bool:
    """Whether a column counts the requests of a histogram up to an edge."""
    return column.startswith(EDGE) and _number(column.removeprefix(EDGE)) > 0


def _number(text: str) -> float:
    """Not a number for what is none, and for infinity."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _row(number: int, line: dict[str, Any], analysis: Analysis) -> Row:
    if line.get("more"):
        raise _WrongCell("more", ",".join(line["more"]), "this row has more cells than the header")
    metrics = {metric.name: metric for metric in analysis.metrics}
    name, slot = line["metric"].strip(), line["version"].strip()
    if name not in metrics:
        raise _WrongCell("metric", name, f"the analysis has {', '.join(metrics)}")
    if slot not in SLOTS:
        raise _WrongCell("version", slot, "write canary for the new version and stable for the old one")
    metric, at, stage = metrics[name], _time(line["time"].strip()), (line.get("stage") or "").strip()
    return Row(number, at, slot, metric, stage, _numbers(metric, line))


def _time(text: str) -> float:
    if not math.isnan(seconds := _number(text)):
        return seconds
    if (at := moment(text)) is None:
        raise _WrongCell("time", text, "write seconds, or a time with its zone such as 2026-11-28T16:00:05Z")
    return at


def _numbers(metric: Metric, line: Mapping[str, str]) -> dict[str, float]:
    """The numbers of one row; exactly those that its metric has."""
    wanted = _WANTED[type(metric)]
    written = {name: text.strip() for name, text in line.items() if name not in (*_NAMES, "stage") and text.strip()}
    for name in wanted:
        if name not in written:
            raise _WrongCell(name, None, f"a {metric.kind} needs {' and '.join(wanted)}")
    for name, text in written.items():
        if name not in wanted and not (isinstance(metric, HistogramMetric) and is_edge(name)):
            raise _WrongCell(name, text, f"a {metric.kind} has none; leave it empty")
    numbers = {name: _cell(name, text) for name, text in written.items()}
    _check_counts(numbers)
    return numbers


def _cell(name: str, text: str) -> float:
    value = _number(text)
    if name == "value":
        if math.isnan(value):
            raise _WrongCell(name, text, "write a number")
    elif not (0 <= value <= _LARGEST and value.is_integer()):
        raise _WrongCell(name, text, "write how many requests there were since the row before, a whole number from 0")
    return value


def _check_counts(numbers: Mapping[str, float]) -> None:
    total = numbers.get(TOTAL, 0.0)
    if numbers.get(BAD, 0.0) > total:
        raise _WrongCell(BAD, f"{numbers[BAD]:.0f}", f"at most all {total:.0f} requests can have failed")
    edges = sorted((name for name in numbers if is_edge(name)), key=_seconds)
    for name, above in pairwise([*edges, TOTAL]) if edges else ():
        if numbers[name] > numbers[above]:
            allowed = f"counts are cumulative, so at most the {numbers[above]:.0f} of {above}"
            raise _WrongCell(name, f"{numbers[name]:.0f}", allowed)


def _seconds(column: str) -> float:
    return float(column.removeprefix(EDGE))


def _disorder(found: Sequence[Row]) -> Iterator[Problem]:
    for before, row in pairwise(found):
        if row.at < before.at:
            yield Problem("time", "it lies before the row above; write the rows in their order in time", row.line)
        elif row.at == before.at and row.stage != before.stage:
            yield Problem("stage", f"{row.stage!r} is not allowed; at this time it was {before.stage!r}", row.line)
    seen: dict[tuple[float, str, str], int] = {}
    for row in found:
        if (first := seen.setdefault((row.at, row.slot, row.metric.name), row.line)) != row.line:
            yield Problem("time", f"{row.metric.name} of {row.slot} at this time is in line {first} already", row.line)
