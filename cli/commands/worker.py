"""`worker`: the one command that reaches below the client, into the worker's package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app, "worker", example="headgate worker --settings headgate.yaml", panel="Platform")(worker)


def worker(
    session: Session,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="The worker's settings file.", envvar="HEADGATE_SETTINGS", show_default=False),
    ] = None,
) -> None:
    """Run a worker until SIGTERM or SIGINT: it carries out releases and drains before it leaves."""
    from worker.main import run

    connection = session.connection
    given = {  # A worker reads these itself, as every client of Temporal does.
        "TEMPORAL_ADDRESS": connection.address,
        "TEMPORAL_NAMESPACE": connection.namespace,
        "TEMPORAL_PROFILE": connection.profile,
        "HEADGATE_TASK_QUEUE": connection.task_queue,
    }
    os.environ.update({name: value for name, value in given.items() if value})
    raise typer.Exit(run(settings))
