"""`worker`: the one command that reaches below the client, into the worker's package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app, "worker", example="headgate worker --settings headgate.yaml", connected=False, panel="Platform")(
        worker
    )


def worker(
    session: Session,  # noqa: ARG001 (every command gets one)
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="The worker's settings file.  [env: HEADGATE_SETTINGS]", show_default=False),
    ] = None,
) -> None:
    """Run a worker until SIGTERM or SIGINT: it carries out releases and drains before it leaves."""
    from worker.main import run

    run(settings)
