"""`python -m tests.bench [NAME...]`: measures what issue 3 promises, prints it, and writes it down as JSON.

No number here is asserted anywhere: a benchmark that misses its target says MISSED and the exit status stays 0. Only
what could not be measured at all is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cli.render.styles import plain_table
from tests.bench import machine
from tests.bench.page import PAGE, page
from tests.bench.rows import Measured, Row, Sheet, answer, shown

NAMES = (
    "abort",
    "approve",
    "kill",
    "steps",
    "history",
    "observing",
    "lost",
    "calls",
    "selector",
    "evidence",
    "verdicts",
)
OUTPUT = Path("bench.json")
_STYLES = {True: "green", False: "bold red", None: "dim"}


def main() -> int:
    """Runs what is named, or everything; 1 when some of it could not be measured."""
    given = _arguments()
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    report: dict[str, Any] = {}
    if not given.from_json:
        report = asyncio.run(run(given.names or NAMES, console))
        report["results"] = _beside(report["results"], given.output)
        given.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        console.print(f"\nwritten to {given.output.resolve()}", soft_wrap=True)
    if given.write_docs or given.from_json:
        PAGE.write_text(page(json.loads(given.output.read_text(encoding="utf-8"))), encoding="utf-8")
        console.print(f"written to {PAGE}", soft_wrap=True)
    return 1 if report.get("failed") else 0


async def run(names: list[str] | tuple[str, ...], console: Console) -> dict[str, Any]:
    """Everything that was measured, as it is written down."""
    begun = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - begun:5.0f} s  [/]{line}", soft_wrap=True)

    results: list[dict[str, Any]] = []
    failed: list[str] = []
    rows: list[Row] = []
    for name in names:
        started, load = time.monotonic(), os.getloadavg()[0]
        try:
            measured: Measured = await importlib.import_module(f"tests.bench.{name}").measure(say)
        except Exception:  # noqa: BLE001 - whatever it is, the others are still worth measuring.
            console.print_exception()
            failed.append(name)
            continue
        rows += measured.rows
        for part in measured.sheets:
            console.print(Group(Text(), Text(part.title, style="bold"), _sheet(part), Text()))
        results.append(
            {
                "name": name,
                "commit": machine.commit(),
                "seconds": round(time.monotonic() - started, 1),
                "load": [round(load, 1), round(os.getloadavg()[0], 1)],
                "rows": [row.to_json() for row in measured.rows],
                "sheets": [part.to_json() for part in measured.sheets],
                "notes": list(measured.notes),
            }
        )
    console.print(Group(Text(), _table(rows)))
    for line in machine.sentences(where := machine.facts()):
        console.print(line, style="dim", soft_wrap=True)
    return {"machine": where, "results": results, "failed": failed}


def _beside(results: list[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """What was measured now, and of what was not what the file still has, each with its commit; in our order."""
    before = json.loads(file.read_text(encoding="utf-8"))["results"] if file.exists() else []
    newest = {result["name"]: result for result in (*before, *results)}
    return [newest[name] for name in NAMES if name in newest]


def _table(rows: list[Row]) -> Table:
    table = plain_table()
    for name in ("what", "target"):
        table.add_column(name)
    for name in ("min", "median", "max", "of"):
        table.add_column(name, justify="right")
    table.add_column("met?")
    for row in rows:
        values = [shown(value, row.unit) for value in row.spread] if row.values else ["–"] * 3
        table.add_row(
            row.what, row.target, *values, str(len(row.values)), Text(answer(row.met), style=_STYLES[row.met])
        )
    return table


def _sheet(sheet: Sheet) -> Table:
    table = plain_table()
    for number, name in enumerate(sheet.columns):
        table.add_column(name, justify="right" if number else "left")
    for line in sheet.lines:
        table.add_row(*line)
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what Headgate promises.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file, which keeps what is not measured")
    parser.add_argument("--write-docs", action="store_true", help=f"write {PAGE.name} too")
    parser.add_argument("--from-json", action="store_true", help=f"measure nothing, write {PAGE.name} from the JSON")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
