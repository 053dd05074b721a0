"""Arguments that several commands take, written once, and how durations among them are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Release = Annotated[
    str, typer.Argument(metavar="ENV/NAME", help="The release, such as production/trip-service.", show_default=False)
]
Document = Annotated[
    Path, typer.Argument(metavar="FILE", help="A YAML or JSON file; - reads standard input.", show_default=False)
]
By = Annotated[
    str | None,
    typer.Option("--by", help="Who says so; nobody verifies it.", show_default="user@host"),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for status and audit.")]
Sequence = Annotated[
    int | None,
    typer.Option(
        "--sequence",
        help="Only if the release is still where `status` showed this number.",
        show_default="the current one",
    ),
]
Rollback = Annotated[bool, typer.Option("--rollback", help="The rollback of this name instead of its release.")]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout", help="Stop waiting after this time (30s, 10m); the release goes on.", show_default="no limit"
    ),
]
Version = Annotated[str | None, typer.Option("--version", help="Wins over the file's spec.version.")]
Environment = Annotated[str | None, typer.Option("--environment", "-e", help="Wins over the file's spec.environment.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set a field, such as spec.components.web.drain=10s; repeatable."),
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts too, in one file.")]


def seconds(option: str, text: str | None) -> float | None:
    """A duration such as 30s or 10m in seconds. Errors: BadInput."""
    from cli.errors import BadInput
    from workflows.model.shapes import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise BadInput(f"{option}: {error}") from error
