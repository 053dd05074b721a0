"""Lists of runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cli.render.styles import PHASE_STYLE, percent, plain_table, since, span, stamp
from cli.snapshot import Listed


def listing(runs: Sequence[Listed]) -> Table:
    """One line per release."""
    table = _table("release", "version", "phase", "weight", "waits for", "since")
    for run in runs:
        phase = run.outcome or run.known.phase or "Pending"
        table.add_row(
            _name(run),
            run.known.version or "–",
            Text(phase, style=PHASE_STYLE.get(phase, "")),
            percent(run.known.weight) if run.known.weight is not None else "–",
            run.known.waiting_for if run.execution.is_running else "",
            since(run.execution.started_at),
        )
    return table


def past(runs: Sequence[Listed]) -> Table:
    """One line per run, with how it ended and how long it took."""
    table = _table("started", "version", "outcome", "took", "run")
    for run in runs:
        outcome = run.outcome or run.known.phase or "Pending"
        begun, closed = run.execution.started_at, run.execution.closed_at
        took = span((closed - begun).total_seconds()) if begun and closed else f"{since(begun)} so far"
        version = f"↩ {run.known.version}" if run.kind == "Rollback" else run.known.version
        table.add_row(
            stamp(begun), version or "–", Text(outcome, style=PHASE_STYLE.get(outcome, "")), took, run.execution.run_id
        )
    return table


def _name(run: Listed) -> str:
    return f"{run.ref} (rollback)" if run.kind == "Rollback" else str(run.ref)


def _table(*columns: str) -> Table:
    table = plain_table()
    for column in columns:
        table.add_column(column, no_wrap=column != "run", overflow="fold")
    return table
