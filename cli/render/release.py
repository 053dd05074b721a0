"""One release as people see it: what `status` prints once and `watch` redraws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.render.ending import ending_text
from cli.render.styles import PHASE_STYLE, bar, clock, percent, plain_table, since, span
from workflows.model.decision import EvidenceReport, MetricReport, ScoreReport
from workflows.model.status import GateStatus, Refusal, ReleaseStatus, RolloutStatus, Wait
from workflows.model.target import Backend

if TYPE_CHECKING:
    from cli.snapshot import Snapshot

STATE_STYLE = {
    "ok": "green",
    "alert": "yellow",
    "failed": "bold red",
    "insufficient": "magenta",
    "noData": "magenta",
    "inconclusive": "magenta",
}
STATE_WORDS = {"noData": "no data", "insufficient": "too few requests"}
_LABEL_WIDTH = 10
_SHOWN_REFUSALS = 3


def render(snapshot: Snapshot, *, width: int = 80, now: datetime | None = None) -> Group:
    """The whole view; `width` decides how long bars are, at 80 columns everything fits."""
    return Group(*_parts(snapshot, width, now or datetime.now(UTC)))


def _parts(snapshot: Snapshot, width: int, now: datetime) -> Iterator[RenderableType]:
    yield _header(snapshot, now)
    if snapshot.ending:
        yield Text()
        yield ending_text(snapshot.ref, snapshot.ending)
    status = snapshot.status
    if status:
        yield from _demands(snapshot, status, now)
        for component in status.components:
            yield Text()
            yield from _component(component, width, now)
        yield from _refusals(status.refused[-_SHOWN_REFUSALS:])
        yield from (Text.assemble(("warning ", "yellow"), warning) for warning in status.warnings)
    for note in snapshot.notes:
        yield Text.assemble(("note ", "yellow"), note)


def _header(snapshot: Snapshot, now: datetime) -> RenderableType:
    title = Text.assemble((snapshot.ref.name, "bold"), " ", (snapshot.version, "bold"), " → ", snapshot.ref.environment)
    phase = Text(snapshot.phase, style=PHASE_STYLE.get(snapshot.phase, "bold"))
    execution = snapshot.execution
    if execution.closed_at and execution.started_at:
        phase.append(f" after {span((execution.closed_at - execution.started_at).total_seconds())}", style="dim")
    elif execution.started_at:
        phase.append(f" · {since(execution.started_at, now)}", style="dim")
    table = Table.grid(expand=True)
    table.add_column()
    table.add_column(justify="right")
    table.add_row(title, phase)
    return Group(table, Text(execution.workflow_id, style="dim"))


def _demands(snapshot: Snapshot, status: ReleaseStatus, now: datetime) -> Iterator[RenderableType]:
    """What the release waits for, and the command that answers it."""
    opened = [gate for gate in status.gates if gate.state == "open"]
    if status.wait and not (opened and status.wait.reason == "ApprovalWanted"):
        yield _waiting(status.wait, now)
    names = [gate.name for gate in opened]
    for gate in opened:
        yield from _gate(snapshot, gate, unique=names.count(gate.name) == 1, now=now)
    if status.paused:
        yield _hint(f"headgate resume {snapshot.ref}{snapshot.ref.flags}")
    elif status.wait and status.wait.reason == "ForeignChange":
        yield _hint(
            f"headgate resume {snapshot.ref}{snapshot.ref.flags}   (--take-over writes the release's value again)"
        )
    elif status.wait and status.wait.reason == "UndoBlocked":
        yield _hint(f"headgate resume {snapshot.ref}   (retries the undo at once)")


def _waiting(wait: Wait, now: datetime) -> Text:
    text = Text.assemble(("waits ", "bold magenta"), (wait.reason, "magenta"), f": {wait.message}")
    if wait.since:
        text.append(f" · for {since(wait.since, now)}", style="dim")
    if wait.until:
        text.append(f" · {span((wait.until - now).total_seconds())} left", style="dim")
    return text


def _gate(snapshot: Snapshot, gate: GateStatus, *, unique: bool, now: datetime) -> Iterator[Text]:
    agreed = sum(vote.decision == "approve" for vote in gate.votes)
    people = f" by {', '.join(gate.groups)}" if gate.groups else ""
    of = f" for {gate.component}" if gate.component else ""
    text = Text.assemble(
        ("waits ", "bold magenta"), "for approval ", (gate.name, "bold"), f"{of}: {agreed} of {gate.count}{people}"
    )
    yield text
    hint = _hint(f"headgate approve {snapshot.ref} --gate {gate.name if unique else gate.instance}{snapshot.ref.flags}")
    if gate.expires_at:
        hint.append(f"   {span((gate.expires_at - now).total_seconds())} left", style="dim")
    yield hint


def _hint(line: str) -> Text:
    return Text(f"      {line}", style="cyan")


def _component(status: RolloutStatus, width: int, now: datetime) -> Iterator[RenderableType]:
    length = max(20, min(60, width - 40))
    title = Text(status.component, style="bold")
    where = Text.assemble((status.phase, PHASE_STYLE.get(status.phase, "bold")))
    if status.steps:
        where.append(f" · step {min(status.step + 1, status.steps)} of {status.steps}", style="dim")
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    head.add_row(title, where)
    yield head
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="dim", width=_LABEL_WIDTH)
    rows.add_column(overflow="fold")
    for label, value in _rows(status, length, now):
        rows.add_row(label, value)
    yield Padding(rows, (0, 0, 0, 2))
    if status.metrics:
        yield Padding(_metrics(status.metrics), (0, 0, 0, 2))


def _rows(status: RolloutStatus, length: int, now: datetime) -> Iterator[tuple[str, RenderableType]]:
    if status.summary:
        yield "step", Text(status.summary)
    if status.stages:
        yield "stages", _stages(status)
    if status.asked or status.verified:
        yield "asked", _weight(status.asked, length, "blue")
        yield "verified", _weight(status.verified, length, "green")
    if status.need_seconds:
        left = max(0.0, status.need_seconds - status.observed_seconds)
        drawn = bar(status.observed_seconds / status.need_seconds, length, "cyan")
        yield "observed", Text.assemble(drawn, f" {span(status.observed_seconds)} of {span(status.need_seconds)}")
        if left:
            yield "", Text(f"{span(left)} of observation left; time without data does not count", style="dim")
    if status.wait and status.wait.reason != "ApprovalWanted":  # The gate says it with its command.
        yield "", _waiting(status.wait, now)
    if status.decision and status.decision.verdict in {"hold", "rollback"}:
        said = status.decision.message or status.decision.reason
        yield "decision", Text.assemble((status.decision.verdict, "bold magenta"), f": {said}")
    if status.evidence:
        yield from _whole(status.evidence, length)
    if status.undo:
        yield "undo", Text(status.undo, style="dim")


def _whole(evidence: EvidenceReport, length: int) -> Iterator[tuple[str, RenderableType]]:
    """What all metrics say together."""
    if evidence.threshold:
        yield from _evidence(evidence, length)
    if evidence.score:
        yield from _score(evidence.score, length)


def _evidence(evidence: EvidenceReport, length: int) -> Iterator[tuple[str, RenderableType]]:
    """How far the largest evidence so far is from a rollback."""
    part = evidence.peak / evidence.threshold if evidence.threshold > 0 else 0.0
    style = "bold red" if part >= 1 else "yellow" if part >= 1 / 2 else "green"
    numbers = f" log E {evidence.log_e:.1f}, at most {evidence.peak:.1f} so far; {evidence.threshold:.1f} rolls back"
    yield "evidence", Text.assemble(bar(part, length, style), numbers)
    yield "", Text(evidence.sentence, style="dim")


def _score(score: ScoreReport, length: int) -> Iterator[tuple[str, RenderableType]]:
    """How far Kayenta's score is from what it must be."""
    style = "bold red" if score.score <= score.marginal else "yellow" if score.score < score.passing else "green"
    groups = ", ".join(f"{name} {value:g}" for name, value in score.groups.items())
    must = f"must be above {score.marginal:g}, at a stage's end {score.passing:g}"
    yield "score", Text.assemble(bar(score.score / 100, length, style), f" {score.score:g}, {must}")
    yield "", Text(score.reason or groups, style="dim")
    for warning in score.warnings:
        yield "", Text.assemble(("warning ", "yellow"), warning)


def _stages(status: RolloutStatus) -> Text:
    text = Text()
    done = status.phase in {"Promoting", "Watching", "Committing", "Succeeded"}
    for number, weight in enumerate(status.stages, start=1):
        if done or number < status.stage:
            mark, style = "✓", "green"
        elif number == status.stage:
            mark, style = "▶", "bold cyan"
        else:
            mark, style = "○", "bright_black"
        text.append(f"{mark} {percent(weight)}   ", style=style)
    return text


def _weight(weights: Mapping[Backend, float], length: int, style: str) -> Text:
    new = weights.get("canary", 0.0)
    others = [f"{backend} {percent(weight)}" for backend, weight in weights.items() if weight]
    return Text.assemble(bar(new / 100, length, style), f" {', '.join(others)}")


def _metrics(metrics: tuple[MetricReport, ...]) -> Table:
    table = plain_table()
    table.add_column("metric")
    for name in ("new", "stable", "limit"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for metric in metrics:
        style = STATE_STYLE.get(metric.state, "")
        state = STATE_WORDS.get(metric.state, metric.state)
        if metric.failures and metric.failure_limit:
            state += f" · {metric.failures} failed, {metric.failure_limit} tolerated"
        elif metric.requests:
            state += f" · {metric.requests} requests"
        table.add_row(
            metric.name,
            Text(_value(metric.value, metric.unit), style=style),
            _value(metric.baseline, metric.unit),
            _value(metric.limit, metric.unit),
            Text(state, style=style),
        )
        if metric.sentence and (metric.state != "ok" or metric.evidence):
            table.add_row("", "", "", "", Text(metric.sentence, style="dim"))
    return table


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "s" and abs(value) < 1:
        value, unit = value * 1000, "ms"
    return f"{value:.3g} {unit}".strip() if abs(value) < 1000 else f"{value:,.0f} {unit}".strip()


def _refusals(refused: tuple[Refusal, ...]) -> Iterator[Text]:
    if refused:
        yield Text()
    for refusal in refused:
        by = f" by {refusal.by}" if refusal.by else ""
        yield Text.assemble(
            (f"{clock(refusal.at)} ".lstrip(), "dim"),
            ("refused ", "yellow"),
            f"{refusal.message}{by}: {refusal.reason}",
        )
