"""What the metrics of a document find: a table, and what to do about each problem."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.render.styles import plain_table
from workflows.contracts.metrics import Examined, MetricExamined, MetricProblem, VersionSeen
from workflows.engine.examination import Examination

_COLUMNS = ("metric", "kind", "source", "version", "from", "series", "requests/s", "failed", "usable buckets", "value")
_NAMES = {"stable": "running", "canary": "canary"}


def render(found: Examination) -> RenderableType:
    """A table for each component, and its problems."""
    parts = [part for name, examined in found.components.items() for part in _component(name, examined)]
    return Group(*parts) if parts else Text("no component has an analysis, so there is nothing to ask")


def _component(name: str, examined: Examined) -> Iterator[RenderableType]:
    yield Text(f"{name}, asked of metrics provider {examined.provider or '–'}", style="bold")
    if examined.metrics:
        yield _table(examined)
    for problem in examined.problems:
        yield _problem("", problem)
    for metric in examined.metrics:
        yield from (_problem(metric.name, problem) for problem in metric.problems)


def _table(examined: Examined) -> Table:
    table = plain_table()
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True)
    for metric in examined.metrics:
        for version in metric.versions:
            table.add_row(*_row(metric, version))
    return table


def _row(metric: MetricExamined, seen: VersionSeen) -> Iterator[str]:
    is_first = seen.slot == metric.versions[0].slot
    yield from (metric.name, metric.kind, metric.source) if is_first else ("", "", "")
    yield _NAMES[seen.slot]
    yield str(seen.instances)
    yield str(seen.series)
    yield "–" if seen.requests_per_second is None else f"{seen.requests_per_second:,.3g}"
    yield "–" if seen.failing is None else f"{seen.failing * 100:.2g}%"
    yield "–" if seen.usable_buckets is None else str(seen.usable_buckets)
    yield "–" if seen.value is None else f"{seen.value:.6g}"


def _problem(metric: str, problem: MetricProblem) -> Text:
    said = Text("✗ ", style="bold red")
    said.append(f"{metric}: {problem.message}" if metric else problem.message, style="default not bold")
    return said.append(f"\n  fix: {problem.remedy}", style="cyan not bold")
