"""`demo`: two real releases on this machine. The demo itself lives in `cli.demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app, "demo", example="headgate demo canary-bad --kill-workers", connected=False, panel="Start here")(demo)


def demo(
    session: Session,
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SCENARIO]...", help="Scenarios; --list names them.", show_default=False),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, to try things out.")] = False,
    kill_workers: Annotated[
        bool, typer.Option("--kill-workers", help="Kill a worker every few seconds meanwhile.")
    ] = False,
) -> None:
    """Start Temporal, Envoy, workers and a service, and release a good and a bad version."""
    from cli.demo.main import run

    raise typer.Exit(run(scenarios or [], keep=keep, kill_workers=kill_workers, as_json=session.is_json))
