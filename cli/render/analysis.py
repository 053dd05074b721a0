"""What an analysis would have decided, on a terminal: how often first, then one of the times in full."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.backtest import Backtest
from cli.facts import times
from cli.render.report import render as render_report
from cli.render.styles import plain_table, span
from workflows.model.backtest import Window

_MOST = 20
"""Stretches that are listed; all are in the JSON."""
_STYLES = {"pass": "green", "rollback": "bold red", "hold": "magenta", "continue": "yellow"}


def render(found: Backtest) -> Group:
    """The whole answer."""
    return Group(*_parts(found))


def _parts(found: Backtest) -> Iterator[RenderableType]:
    if found.is_cut:
        yield from _cut(found)
    if found.is_same:
        yield Text(false_alarms(found))
        yield Text()
    yield render_report(found.report)


def false_alarms(found: Backtest) -> str:
    """How often it acted where nothing was wrong."""
    number, all_of_them = found.counts.get("rollback", 0), len(found.found.windows)
    return f"false alarms: {number} of {all_of_them}, because both sides are the same version"


def _cut(found: Backtest) -> Iterator[RenderableType]:
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(found.counts.items()))
    yield Text(f"{len(found.found.windows)} releases: {verdicts}")
    worrying = [window for window in found.found.windows if window.decision.verdict != "pass"]
    if worrying:
        yield _table(worrying[:_MOST])
    if len(worrying) > _MOST:
        yield Text(f"and {len(worrying) - _MOST} more that did not pass; -o json has all of them")
    yield Text(f"the one that began after {span(found.shown.seconds)}, in full:")
    yield Text()


def _table(windows: list[Window]) -> Table:
    table = plain_table()
    for column in ("began after", "verdict", "after", "largest evidence", "why"):
        table.add_column(column)
    for window in windows:
        decision = window.decision
        verdict = Text(f"{decision.verdict} ({decision.reason})", style=_STYLES[decision.verdict])
        table.add_row(span(window.seconds), verdict, span(window.after_seconds), times(window.peak), decision.message)
    return table
