"""`setup` and `doctor`: what a namespace and a machine need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.options import Environment, Set, Version
from cli.session import Session, command

if TYPE_CHECKING:
    from rich.table import Table

    from cli.client import Headgate
    from cli.platform import Finding

_MARKS = {"ok": ("✓", "green"), "missing": ("✗", "bold red"), "unknown": ("?", "yellow")}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, "setup", example="headgate setup --namespace releases", panel="Platform")(setup)
    command(app, "doctor", example="headgate doctor", panel="Platform")(doctor)


def setup(session: Session) -> None:
    """Register the search attributes that a worker needs in its namespace. Running it again changes nothing."""
    from cli import platform

    async def prepare(headgate: Headgate) -> list[str]:
        return await platform.register(headgate.temporal)

    added = session.run(prepare)
    session.show(
        {"searchAttributes": {"added": added}},
        f"search attributes: {'added ' + ', '.join(added) if added else 'all there'}",
    )


def doctor(
    session: Session,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A Release, of which the metrics are asked instead.", show_default=False),
    ] = None,
    *,
    version: Version = None,
    environment: Environment = None,
    settings: Set = None,
) -> None:
    """Say what is missing for releases to run and how to fix it; exits 1 when something is.

    With FILE a worker runs the queries of a Release's metrics and says what they find of each version.
    """
    from cli.platform import examine_machine

    if file:
        _examine(session, file, version, environment, settings)
    findings = [*_server(session), *examine_machine()]
    healthy = all(finding.state != "missing" for finding in findings)
    session.show({"healthy": healthy, "findings": [finding.to_json() for finding in findings]}, _table(findings))
    raise typer.Exit(0 if healthy else 1)


def _examine(
    session: Session, file: Path, version: str | None, environment: str | None, settings: list[str] | None
) -> None:
    from cli.reading import Overrides, as_release, located, named, only
    from cli.render.metrics import render
    from workflows.model.shapes import dump

    with named(file):
        source = only(file, "Release")
        release = as_release(source, Overrides(version, environment, tuple(settings or ())))
        with located(source):
            found = session.run(lambda headgate: headgate.examine(dump(release)))
    healthy = not any(
        examined.problems or any(metric.problems for metric in examined.metrics)
        for examined in found.components.values()
    )
    components = found.model_dump(mode="json", by_alias=True)["components"]
    session.show({"healthy": healthy, "components": components}, render(found))
    raise typer.Exit(0 if healthy else 1)


def _server(session: Session) -> list[Finding]:
    from cli.errors import CommandError
    from cli.platform import Finding, examine, examine_clusters

    async def look(headgate: Headgate) -> list[Finding]:
        client = headgate.temporal
        where = f"{client.service_client.config.target_host}, namespace {client.namespace}"
        await client.count_workflows()
        found = [Finding("temporal server", "ok", where)]
        found += [finding async for finding in examine(client, session.connection.queue)]
        return [*found, *await examine_clusters(headgate)]

    try:
        return session.run(look)
    except CommandError as error:
        return [Finding("temporal server", "missing", str(error), "temporal server start-dev, or set TEMPORAL_ADDRESS")]


def _table(findings: list[Finding]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.state]
        said = Text(finding.message)
        if finding.fix and finding.state != "ok":
            said.append(f"\nfix: {finding.fix}", style="cyan")
        table.add_row(Text(mark, style=style), finding.subject, said)
    return table
