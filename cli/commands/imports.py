"""`import`: what other tools know of an analysis, as a document of Headgate says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command."""
    example = "headgate import canary-config.json --bind project=shop > analysis.yaml"
    command(app, "import", example=example, connected=False, panel="Documents")(imported)


def imported(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A canary config of Kayenta, or - for standard input.")],
    bind: Annotated[
        list[str] | None,
        typer.Option("--bind", metavar="NAME=VALUE", help="What a variable of its queries is here; repeatable."),
    ] = None,
) -> None:
    """Print the analysis that judges as a canary config of Kayenta does, to be put into a Release.

    Whatever cannot be carried over is refused with its path.
    """
    from cli.errors import BadInput
    from cli.imports import analysis_of, written
    from cli.reading import located, named
    from cli.sources import read

    pairs = [pair.partition("=")[::2] for pair in bind or ()]
    if wrong := [name for name, value in pairs if not (name and value)]:
        raise BadInput(f"--bind {wrong[0]}: write NAME=VALUE, such as --bind project=shop")
    with named(file):
        source = read(file)[0]
        with located(source):
            analysis = analysis_of(source.data, dict(pairs))
    session.show(analysis, written(analysis))
