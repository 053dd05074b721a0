"""A report as one HTML file that loads nothing: words, numbers, and charts that are readable by day and by night."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from cli.errors import BadInput
from cli.facts import GUARANTEE, Curve, curves_of, facts_of, is_limit_shown, overall, subject_of, times, traffic_of
from cli.render.charts import Axis, Trace, chart
from cli.render.release import STATE_WORDS
from cli.render.styles import span, stamp
from cli.report import NOTHING_SEEN, Chapter, Report
from workflows.model.backtest import Turn
from workflows.model.decision import EvidenceReport, Line, MetricReport, Timeline

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --card: #f6f8fa; --text: #1f2328; --faint: #59636e; --line: #d1d9e0;
  --new: #bc4c00; --old: #0969da; --bad: #cf222e; --good: #1a7f37; --third: #8250df; --fourth: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --card: #151b23; --text: #e6edf3; --faint: #9198a1;
  --line: #3d444d; --new: #f0883e; --old: #58a6ff; --bad: #f85149; --good: #3fb950; --third: #bc8cff;
  --fourth: #d29922; } }
body { background: var(--paper); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.25rem; margin: 2rem 0 0; } h3 { font-size: 1rem; margin: 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0; padding: 1rem; }
p { margin: .25rem 0 .75rem; } .faint, figcaption, th { color: var(--faint); } figure { margin: 1rem 0 0; }
figcaption { font-size: .9rem; } svg { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; } th { font-weight: normal; padding-right: 1.5rem; text-align: left;
  vertical-align: top; white-space: nowrap; } td { font-variant-numeric: tabular-nums; }
.badge { border: 1px solid; border-radius: 1rem; font-size: .85rem; font-weight: 600; padding: .1rem .6rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--fourth); }
dl { display: grid; gap: .25rem 1.5rem; grid-template-columns: max-content 1fr; } dt { font-weight: 600; }
dd { margin: 0; }
"""

_TONES = {
    **dict.fromkeys(("Succeeded", "ok", "pass"), "good"),
    **dict.fromkeys(("RolledBack", "Failed", "failed", "rollback"), "bad"),
}
_COLOURS = ("--third", "--fourth", "--good", "--old")
_DECADE = math.log(10)

_GUIDE = {
    "evidence": "What a bet against the new version has won, for each unit staked. A version that keeps to what is "
    "promised wins N or more in at most one of N releases, however often it is looked at.",
    "rolls back": "The evidence over all metrics at which the release goes back, 1/alpha.",
    "share": "Of one version's requests, those that failed or were too slow, in each step of the time line.",
    "between": "What the counts do not rule out, at every look, if requests fail independently of each other. The "
    "evidence needs less.",
    "skipped": "Readings that tell nothing about one version alone, left out for the reason that is given.",
    "the promise": GUARANTEE,
}


def write(report: Report, file: Path) -> None:
    """Writes the page, over an earlier one. Errors: BadInput."""
    try:
        file.write_text(page(report), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror}") from error


def page(report: Report) -> str:
    """The whole file."""
    title = escape(f"{report.subject} {report.version}".strip())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
        + "\n".join(_body(report, title))
        + "\n</body></html>\n"
    )


def _body(report: Report, title: str) -> Iterator[str]:
    yield f"<h1>{title} {_badge(report.outcome)}</h1>"
    if report.started_at:
        took = report.ended_at and f", {span((report.ended_at - report.started_at).total_seconds())}"
        yield f'<p class="faint">{escape(stamp(report.started_at))}{took or ""}</p>'
    yield f"<p>{escape(report.message)}</p>"
    if not report.chapters:
        yield f"<p>{escape(NOTHING_SEEN)}</p>"
    for chapter in report.chapters:
        yield f"<h2>{escape(chapter.component)}</h2>"
        yield from _chapter(chapter)
    yield "<h2>How to read this</h2><dl>"
    yield from (f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in _GUIDE.items())
    yield "</dl>"


def _chapter(chapter: Chapter) -> Iterator[str]:
    if chapter.turns:
        turns = [(span(turn.seconds), _said(turn)) for turn in chapter.turns]
        yield f"<section><h3>Decisions</h3>{_table(turns)}</section>"
    if chapter.evidence:
        yield "<section><h3>All metrics together</h3>"
        yield from (f"<p>{escape(sentence)}</p>" for sentence in overall(chapter.evidence))
        if chapter.timeline and chapter.timeline.log_e:
            yield _evidence(chapter, chapter.evidence, chapter.timeline)
        if chapter.timeline:
            yield _traffic(chapter.timeline)
        yield "</section>"
    for metric in chapter.metrics:
        yield from _metric(metric, chapter)


def _metric(metric: MetricReport, chapter: Chapter) -> Iterator[str]:
    state = _badge(STATE_WORDS.get(metric.state, metric.state), metric.state)
    yield f"<section><h3>{escape(metric.name)} {state}</h3><p>{escape(metric.sentence)}</p>"
    yield _table(facts_of(metric, chapter.evidence))
    line = chapter.timeline.lines.get(metric.name) if chapter.timeline else None
    if line and chapter.timeline and (curves := curves_of(line)):
        yield _curves(metric, line, curves, chapter.timeline)
    yield "</section>"


def _evidence(chapter: Chapter, weighed: EvidenceReport, timeline: Timeline) -> str:
    """The logarithm on a straight axis, written as the number itself."""
    names = [metric.name for metric in chapter.metrics if metric.evidence]
    traces = [Trace("all together", _points(timeline, timeline.log_e), "--text")]
    if len(names) > 1:
        traces += [
            Trace(name, _points(timeline, timeline.lines[name].log_e), colour, "2,3")
            for name, colour in zip(names, _COLOURS, strict=False)
            if name in timeline.lines
        ]
    traces.append(_level("rolls back", weighed.threshold, timeline, "--bad"))
    known = [value for trace in traces for _, value in trace.points if value is not None]
    high = max(known) + 0.3
    low = max(min([-0.5, *known]), -_DECADE)
    marks = tuple(_DECADE * power for power in range(math.floor(low / _DECADE), math.ceil(high / _DECADE) + 1))
    axis = Axis(low, high, times, tuple(mark for mark in marks if low <= mark <= high))
    title = "Evidence against the new version: a healthy one reaches N in at most one of N releases"
    return _figure(title, traces, axis, timeline)


def _traffic(timeline: Timeline) -> str:
    shares = traffic_of(next((line for line in timeline.lines.values() if line.total), Line()))
    if not shares:
        return ""
    most = max((share for share in shares if share is not None), default=0.0)
    high = next(high for high in (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0) if most <= high)
    traces = [Trace("new version", _points(timeline, shares), "--new", is_filled=True)]
    return _figure("Requests that reached the new version, of all", traces, Axis(0, high, _percent), timeline)


def _curves(metric: MetricReport, line: Line, curves: Sequence[Curve], timeline: Timeline) -> str:
    looks = {"new": ("--new", ""), "stable": ("--old", "7,4")}
    traces = [Trace(curve.name, _points(timeline, curve.values), *looks[curve.name]) for curve in curves]
    if metric.limit is not None and is_limit_shown(metric) and (not line.total or metric.unit == "%"):
        traces.append(_level("limit", metric.limit, timeline, "--bad"))
    high = max(value for trace in traces for _, value in trace.points if value is not None)
    write = _percent if line.total else (lambda value: f"{value:.3g} {metric.unit}".strip())
    title = f"{subject_of(metric)}, in each step of {span(timeline.step)}"
    return _figure(title[0].upper() + title[1:], traces, Axis(0, high * 1.1 or 1.0, write), timeline)


def _level(name: str, value: float, timeline: Timeline, colour: str) -> Trace:
    return Trace(name, ((0.0, value), (timeline.step * timeline.count, value)), colour, "3,5")


def _points(timeline: Timeline, values: Sequence[float | None]) -> list[tuple[float, float | None]]:
    """Each step's value at its end, from where on it is known."""
    return [(timeline.step * (index + 1), value) for index, value in enumerate(values)]


def _figure(title: str, traces: Sequence[Trace], axis: Axis, timeline: Timeline) -> str:
    drawn = chart(title, traces, axis, seconds=timeline.step * timeline.count)
    return f"<figure><figcaption>{escape(title)}</figcaption>{drawn}</figure>"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


def _badge(words: str, tone: str = "") -> str:
    return f'<span class="badge {_TONES.get(tone or words, "warn")}">{escape(words)}</span>'


def _said(turn: Turn) -> str:
    decision = turn.decision
    return f"{decision.verdict} ({decision.reason}) {decision.message}".strip()


def _percent(value: float) -> str:
    return f"{value:.3g} %"
