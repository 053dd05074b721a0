"""docs/benchmarks.md, made from the JSON of a run and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.machine import sentences
from tests.bench.rows import answer, shown

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def page(report: dict[str, Any]) -> str:
    """The whole page."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield from (
        "# Benchmarks",
        "",
        "Written by `make bench ARGS=--write-docs`; do not edit. No test asserts these times. But for the half-hour",
        "windows of `history` and the simulated traffic of `evidence` everything is real: Temporal's dev server (in",
        "memory), `headgate worker` processes, Envoy, local processes as instances. The machine had other work to do;",
        "the load averages say how much.",
        "",
        *sentences(report["machine"]),
        "",
        "| what | target | min | median | max | of | met |",
        "|---|---|---:|---:|---:|---:|---|",
    )
    for result in report["results"]:
        yield from (_row(row) for row in result["rows"])
    yield from ("", "Every value has to keep its target, not the median.", "", "## How")
    for result in report["results"]:
        yield from _how(result)


def _row(row: dict[str, Any]) -> str:
    values = [shown(row[name], row["unit"]) if row["values"] else "–" for name in ("min", "median", "max")]
    return f"| {' | '.join([row['what'], row['target'], *values, str(len(row['values'])), answer(row['met'])])} |"


def _how(result: dict[str, Any]) -> Iterator[str]:
    before, after = result["load"]
    yield from (
        "",
        f"### {result['name']}",
        "",
        f"Took {result['seconds']:.0f} s, commit {result['commit']}; load average {before} before, {after} after.",
        "",
    )
    yield from (f"- {row['what']}: {row['note']}." for row in result["rows"] if row["note"])
    yield from (f"- {note}" for note in result["notes"])
    for sheet in result["sheets"]:
        yield from _sheet(sheet)


def _sheet(sheet: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"{sheet['title']}:", "", f"| {' | '.join(sheet['columns'])} |")
    yield f"|---{'|---:' * (len(sheet['columns']) - 1)}|"
    yield from (f"| {' | '.join(line)} |" for line in sheet["lines"])
