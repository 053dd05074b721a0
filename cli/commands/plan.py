"""`plan`: what a release would do, without any server unless it is asked to check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import Document, Environment, Set, Version
from cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command."""
    example = "headgate plan release.yaml --policy policy.yaml --replicas 4"
    command(app, "plan", example=example, panel="Documents")(plan)


def plan(  # noqa: PLR0913 (an option is a parameter)
    session: Session,
    file: Document,
    *,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="The Policy to judge it by.", show_default=False)
    ] = None,
    replicas: Annotated[
        int,
        typer.Option("--replicas", min=0, max=10_000, help="Instances assumed to run now; 0 plans a first release."),
    ] = 3,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Ask a worker whether all that it needs is there: objects, images, room, rights. Touches nothing.",
        ),
    ] = False,
    requests_per_second: Annotated[
        float | None,
        typer.Option(
            "--requests-per-second",
            min=0.001,
            help="Users assumed, for what evidence can do with them.",
            show_default="100; with --check, as measured",
        ),
    ] = None,
    version: Version = None,
    environment: Environment = None,
    settings: Set = None,
) -> None:
    """Show every step a release would take: weights, times, gates, what guards it, and how it is undone."""
    from cli.errors import BadInput
    from cli.forecast import USUAL, Assumed
    from cli.preview import checked_preview, preview
    from cli.reading import Overrides, as_release, located, named, only, read_policy
    from cli.render.plan import render
    from workflows.model.shapes import dump

    if check and policy:
        raise BadInput("--check: the worker judges by its own policy; leave --policy out")
    judged = read_policy(policy) if policy else None
    with named(file):
        source = only(file, "Release")
        release = as_release(source, Overrides(version, environment, tuple(settings or ())))
        with located(source):
            assumed = Assumed(requests_per_second) if requests_per_second else None
            if check:
                found = session.run(lambda headgate: headgate.check(dump(release)))
                made = checked_preview(found, replicas=replicas, assumed=assumed)
            else:
                made = preview(release, judged, replicas=replicas, assumed=assumed or USUAL)
    session.show(made.to_json(), render(made))
