"""A report on a terminal: one line of bars for what went on, and a row for each number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.facts import Curve, curves_of, facts_of, overall, subject_of, traffic_of
from cli.render.release import STATE_STYLE, STATE_WORDS
from cli.render.sparks import spark
from cli.render.styles import OUTCOME_STYLE, PHASE_STYLE, span
from cli.report import NOTHING_SEEN, Chapter, Report
from workflows.model.backtest import Turn
from workflows.model.decision import MetricReport, Timeline

_NAMES = 12
"""Characters of the first column, so that all rows of a component stand below each other."""


def render(report: Report) -> Group:
    """The whole report."""
    return Group(*_parts(report))


def _parts(report: Report) -> Iterator[RenderableType]:
    style = {**PHASE_STYLE, **OUTCOME_STYLE}.get(report.outcome, "bold")
    title = Text.assemble((report.subject, "bold"), f" {report.version} ", (report.outcome, style))
    if report.started_at and report.ended_at:
        title.append(f" after {span((report.ended_at - report.started_at).total_seconds())}")
    yield title
    if report.message:
        yield Text(report.message)
    if not report.chapters:
        yield Text(NOTHING_SEEN)
    for chapter in report.chapters:
        yield Text()
        yield from _chapter(chapter)


def _chapter(chapter: Chapter) -> Iterator[RenderableType]:
    timeline = chapter.timeline
    length = f" · {span(timeline.step * timeline.count)} observed, {span(timeline.step)} a bar" if timeline else ""
    yield Text.assemble((chapter.component, "bold"), (length, "dim"))
    if chapter.evidence:
        yield from (Padding(Text(sentence), (0, 0, 0, 2)) for sentence in overall(chapter.evidence))
        if timeline and timeline.log_e:
            yield _rows([("over time", spark(_rising(timeline.log_e), high=chapter.evidence.threshold))])
    if timeline and (traffic := _traffic(timeline)):
        yield _rows([("traffic", f"{spark(traffic, high=100)}  {_last(traffic)} % of the requests reached it last")])
    for metric in chapter.metrics:
        yield Text()
        yield from _metric(metric, chapter)
    if chapter.turns:
        yield Text()
        yield _rows([(span(turn.seconds), _said(turn)) for turn in chapter.turns])


def _metric(metric: MetricReport, chapter: Chapter) -> Iterator[RenderableType]:
    style = STATE_STYLE.get(metric.state, "")
    state = STATE_WORDS.get(metric.state, metric.state)
    yield Text.assemble("  ", (metric.name, "bold"), "  ", (state, style), ("  " + subject_of(metric), "dim"))
    if metric.sentence:
        yield Padding(Text(metric.sentence), (0, 0, 0, 2))
    line = chapter.timeline.lines.get(metric.name) if chapter.timeline else None
    curves = curves_of(line) if line else ()
    yield _rows(
        [
            *_drawn(curves, " %" if line and line.total else f" {metric.unit}".rstrip()),
            *facts_of(metric, chapter.evidence),
        ]
    )


def _drawn(curves: Sequence[Curve], unit: str) -> Iterator[tuple[str, str]]:
    """Both versions on one scale, or they could not be compared."""
    top = max((value for curve in curves for value in curve.values if value is not None), default=0.0)
    for curve in curves:
        scale = f"  a full bar is {top:.3g}{unit}" if top else ""
        yield curve.name, f"{spark(curve.values, high=top)}{scale}"


def _rows(rows: Sequence[tuple[str, str]]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", min_width=_NAMES, no_wrap=True)
    table.add_column()
    for name, text in rows:
        table.add_row(name, Text(text))
    return Padding(table, (0, 0, 0, 2))


def _rising(values: Sequence[float | None]) -> list[float | None]:
    """What speaks for the new version is no bar."""
    return [None if value is None else max(value, 0.0) for value in values]


def _traffic(timeline: Timeline) -> tuple[float | None, ...]:
    return next((traffic_of(line) for line in timeline.lines.values() if line.total), ())


def _last(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{known[-1]:.3g}" if known else "–"


def _said(turn: Turn) -> str:
    decision = turn.decision
    return f"{decision.verdict} ({decision.reason}) {decision.message}".strip()
