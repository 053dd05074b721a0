"""`status`, `report`, `logs`, `watch`, `list` and `history`: what is going on and what went on."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.commands.options import Html, Release, Rollback
from cli.names import Ref
from cli.session import Session, command

_PANEL = "Look"


Run = Annotated[str | None, typer.Option("--run", help="An earlier run, by its run id.", show_default="the latest")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, "status", example="headgate status production/trip-service", panel=_PANEL)(status)
    command(app, "watch", example="headgate watch production/trip-service", panel=_PANEL)(watch)
    command(app, "logs", example="headgate logs production/trip-service", panel=_PANEL)(logs)
    example = "headgate report production/trip-service --html report.html"
    command(app, "report", example=example, panel=_PANEL)(report)
    command(app, "list", example="headgate list --environment production --all", panel=_PANEL)(list_releases)
    command(app, "history", example="headgate history production/trip-service --limit 5", panel=_PANEL)(history)


def status(
    session: Session,
    release: Release,
    rollback: Rollback = False,
    run: Run = None,
) -> None:
    """Show a release: stages, weights, metrics, and what it waits for."""
    from cli.render.release import render

    ref = Ref.parse(release, rollback=rollback)
    snapshot = session.run(lambda headgate: headgate.status(ref, run_id=run))
    session.show(snapshot.to_json(), render(snapshot, width=session.console.width))


def logs(
    session: Session,
    release: Release,
    rollback: Rollback = False,
    run: Run = None,
) -> None:
    """Say how to read pods, events and logs of a version that failed, which were kept before its undo."""
    ref = Ref.parse(release, rollback=rollback)
    snapshot = session.run(lambda headgate: headgate.status(ref, run_id=run))
    result = snapshot.ending.result if snapshot.ending else None
    found = {part.component: part.failure_log for part in (result.components if result else ()) if part.failure_log}
    lines = [f"# {name}\n{words}" for name, words in found.items()]
    session.show(found, "\n".join(lines) or f"nothing is kept of {ref}: it did not fail, or its provider keeps nothing")


def report(
    session: Session,
    release: Release,
    html: Html = None,
    rollback: Rollback = False,
    run: Run = None,
) -> None:
    """Show what was observed: counts, ratios with intervals, evidence over time, and what was left out."""
    from cli.render.report import render
    from cli.report import report_of

    ref = Ref.parse(release, rollback=rollback)
    found = report_of(session.run(lambda headgate: headgate.status(ref, run_id=run)))
    if html:
        from cli.render.page import write

        write(found, html)
    session.show(found.to_json(), render(found))


def watch(session: Session, release: Release, rollback: Rollback = False) -> None:
    """Show a release until it ends, live on a terminal or a line per change elsewhere, and exit by its outcome."""
    from cli.commands.start import conclude

    conclude(session, Ref.parse(release, rollback=rollback))


def list_releases(
    session: Session,
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Only this environment.")] = None,
    phase: Annotated[str | None, typer.Option("--phase", help="Only this phase, such as Observing.")] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Ended ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many, the newest.")] = 50,
) -> None:
    """List releases; running ones unless --all."""
    from cli.render.tables import listing
    from cli.visibility import Filter

    chosen = Filter(
        environment=_environment(environment), phase=_phase(phase), closed=everything, rollbacks=everything, limit=limit
    )
    found = session.run(lambda headgate: headgate.list(chosen))
    empty = "no releases" if everything else "no release is running; --all shows those that ended"
    session.show([run.to_json() for run in found], listing(found) if found else empty)


def history(
    session: Session,
    release: Release,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many, the newest.")] = 20,
) -> None:
    """List the runs of one release, newest first, with outcome and duration; rollbacks too."""
    from cli.render.tables import past
    from cli.visibility import Filter

    ref = Ref.parse(release)
    found = session.run(lambda headgate: headgate.list(Filter(ref=ref, closed=True, rollbacks=True, limit=limit)))
    session.show(
        [run.to_json() for run in found], past(found) if found else f"{ref} has no runs that Temporal still keeps"
    )


def _environment(value: str | None) -> str | None:
    import re

    from cli.errors import BadInput
    from workflows.model.shapes import NAME_PATTERN

    if value is not None and not re.match(NAME_PATTERN, value):
        raise BadInput(f"--environment: {value!r} is no environment name.", reason="BadName")
    return value


def _phase(value: str | None) -> str | None:
    from typing import get_args

    from cli.errors import BadInput
    from workflows.model.status import Phase

    known: dict[str, str] = {phase.lower(): phase for phase in get_args(Phase)}
    if value is None:
        return None
    if value.lower() not in known:
        raise BadInput(f"--phase: {value!r} is not known; there are {', '.join(known.values())}.", reason="BadPhase")
    return known[value.lower()]
