"""`analyze`: what a document's analysis would have decided on a recording, or on what a metric store remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.options import Document, Environment, Html, Set, Version, seconds
from cli.session import Session, command

if TYPE_CHECKING:
    from cli.backtest import Past
    from workflows.model.analysis import Analysis
    from workflows.model.backtest import Backtested

_STORE = "Past data of the analysis' provider, asked by a worker"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    example = "headgate analyze release.yaml --csv ticks.csv --html analysis.html"
    command(app, "analyze", example=example, panel="Documents")(analyze)


def analyze(  # noqa: PLR0913 (an option is a parameter)
    session: Session,
    file: Document,
    *,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="What both versions counted, tick by tick.")
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(metavar="LABELS", help='Series of the new version: pod=~"shop-7f9c.*".', rich_help_panel=_STORE),
    ] = None,
    stable: Annotated[
        str | None, typer.Option(metavar="LABELS", help="Series of the old version.", rich_help_panel=_STORE)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="2026-11-28T16:00:00Z, or 6h ago: 6h.", rich_help_panel=_STORE),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The same.", show_default="now", rich_help_panel=_STORE)
    ] = None,
    component: Annotated[
        str | None, typer.Option("--component", help="Whose analysis.", show_default="the only one")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="DURATION", help="Cut it into releases of this length, such as 30m."),
    ] = None,
    same: Annotated[
        bool, typer.Option("--same", help="Both sides are the same version (A/A): every rollback is a false alarm.")
    ] = False,
    html: Html = None,
    version: Version = None,
    environment: Environment = None,
    settings: Set = None,
) -> None:
    """Play the past to a document's analysis: verdict by time, false alarms, and a report. Touches nothing.

    The past is a CSV file, which needs no server, or what a Prometheus has stored of two sets of series.
    """
    from cli.backtest import Backtest, component_of, past_of
    from cli.reading import Overrides, read_release
    from cli.render.analysis import render

    past = past_of(canary, stable, since, until, is_file=csv is not None)
    release = read_release(file, Overrides(version, environment, tuple(settings or ())))
    chosen, analysis = component_of(release, component)
    length = seconds("--window", window)
    found = _stored(session, analysis, past, length) if past else _recorded(session, analysis, csv, length)
    subject = f"{release.metadata.name} on {csv.name if csv else 'the past'}"
    answer = Backtest(subject, chosen.name, found, is_cut=length is not None, is_same=same)
    if html:
        from cli.render.page import write

        write(answer.report, html)
    session.show(answer.to_json(), render(answer))


def _recorded(session: Session, analysis: Analysis, csv: Path | None, length: float | None) -> Backtested:
    from cli import recording
    from cli.errors import BadInput
    from cli.reading import named
    from workflows.analysis.playback import backtest

    if csv is None:
        raise BadInput("give the past to play: --csv FILE, or --canary, --stable and --from")
    with named(csv):
        recorded = recording.read(csv, analysis)
    for name in recorded.left_out:
        session.note(f"note: {csv} has no rows of metric {name}; it is left out")
    try:
        return backtest(recorded.analysis, recorded.readings, length)
    except ValueError as error:
        raise BadInput(f"--window: {error}") from error


def _stored(session: Session, analysis: Analysis, past: Past, length: float | None) -> Backtested:
    from workflows.contracts.metrics import BacktestRequest
    from workflows.model.shapes import dump

    request = BacktestRequest(
        analysis=dump(analysis),
        canary=past.canary,
        stable=past.stable,
        since=past.since,
        until=past.until,
        window_seconds=length,
    )
    return session.run(lambda headgate: headgate.backtest(request))
