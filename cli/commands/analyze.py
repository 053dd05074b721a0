"""`analyze`: what a document's analysis would have decided on a recording, without any server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import Document, Environment, Html, Set, Version, seconds
from cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command."""
    example = "headgate analyze release.yaml --csv ticks.csv --html analysis.html"
    command(app, "analyze", example=example, connected=False, panel="Documents")(analyze)


def analyze(  # noqa: PLR0913 (an option is a parameter)
    session: Session,
    file: Document,
    *,
    csv: Annotated[
        Path,
        typer.Option("--csv", metavar="FILE", help="What both versions counted.", show_default=False),
    ],
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
    """Play a recording to a document's analysis: verdict by time, false alarms, and a report. Touches nothing."""
    from cli import recording
    from cli.backtest import backtest, component_of
    from cli.reading import Overrides, named, read_release
    from cli.render.analysis import render

    release = read_release(file, Overrides(version, environment, tuple(settings or ())))
    chosen, analysis = component_of(release, component)
    with named(csv):
        recorded = recording.read(csv, analysis)
    for name in recorded.left_out:
        session.note(f"note: {csv} has no rows of metric {name}; it is left out")
    length = seconds("--window", window)
    found = backtest(f"{release.metadata.name} on {csv.name}", chosen.name, recorded, seconds=length, is_same=same)
    if html:
        from cli.render.page import write

        write(found.report, html)
    session.show(found.to_json(), render(found))
