"""`start` and `wait`: begin a release, or take up the running one, and exit by how it ends."""

# ruff: noqa: PLR0913, PLR0917 (an option is a parameter)

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.options import By, Document, Environment, Release, Rollback, Set, Timeout, Version, seconds
from cli.names import Ref, whoami
from cli.session import Session, command

if TYPE_CHECKING:
    from pathlib import Path

    from cli.client import Headgate
    from cli.snapshot import Ending, Started


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    example = "headgate start release.yaml --version v1.2.0 --environment production --wait"
    command(app, "start", example=example, panel="Release")(start)
    command(app, "wait", example="headgate wait production/trip-service --timeout 30m", panel="Release")(wait)


def start(
    session: Session,
    file: Document,
    version: Version = None,
    environment: Environment = None,
    settings: Set = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show the release until it ends and exit by its outcome.")
    ] = False,
    timeout: Timeout = None,
    supersede: Annotated[
        bool, typer.Option("--supersede", help="Abort a different running release first and wait for its undo.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Even if this version was rolled back here before.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Even if exactly this version runs already.")] = False,
    by: By = None,
) -> None:
    """Start a release.

    The same document joins the release that is running; a different one is refused with exit code 6, or supersedes it.
    """
    from cli.reading import Overrides

    limit = seconds("--timeout", timeout)
    overrides = Overrides(version, environment, tuple(settings or ()))
    document = _document(file, overrides, by=by, flags={"again": again, "restart": restart})
    started = session.run(lambda headgate: headgate.start(document, supersede=supersede, progress=session.note))
    said = "joined" if started.joined else "started"
    sentence = f"{said} {started.ref} {document['spec']['version']} (run {started.run_id})"
    if not wait:
        report_start(session, started, sentence)
        return
    for line in (sentence, *started.notes):
        session.note(line)
    conclude(session, started.ref, run_id=started.run_id, limit=limit)


def _document(file: Path, overrides: Any, *, by: str | None, flags: dict[str, bool]) -> dict[str, Any]:
    from cli.reading import read_release
    from workflows.model.shapes import dump

    document = dump(read_release(file, overrides))
    document["metadata"].setdefault("requestedBy", by or whoami())
    document["spec"] |= {name: True for name, given in flags.items() if given}
    return document


def wait(session: Session, release: Release, timeout: Timeout = None, rollback: Rollback = False) -> None:
    """Wait for the end of a release and exit by its outcome; one that has ended answers at once."""
    conclude(session, Ref.parse(release, rollback=rollback), limit=seconds("--timeout", timeout))


def report_start(session: Session, started: Started, sentence: str) -> None:
    """Says what was started and how to follow it."""
    session.show(started.to_json(), sentence, f"watch it: headgate watch {started.ref}{started.ref.flags}")
    for note in started.notes:
        session.note(f"warning: {note}")


def conclude(session: Session, ref: Ref, *, run_id: str | None = None, limit: float | None = None) -> None:
    """Shows a release until it ends, prints the end and exits by it; an interrupt leaves the release running."""
    from cli.errors import Unreachable
    from cli.render.ending import ending_json, ending_text
    from cli.render.follow import follow_lines, follow_live

    is_live = sys.stdout.isatty() and not session.is_json
    follow = follow_live if is_live else follow_lines

    async def until_end(headgate: Headgate) -> Ending:
        watching = asyncio.create_task(follow(session, headgate, ref, run_id=run_id))
        try:
            return await asyncio.wait_for(headgate.wait(ref, run_id=run_id), limit)
        except TimeoutError as error:
            raise Unreachable(
                f"{ref} has not ended within --timeout; it goes on. headgate wait {ref}", reason="Timeout"
            ) from error
        finally:
            await _stopped(watching)

    try:
        ending = session.run(until_end)
    except KeyboardInterrupt:
        session.note(f"stopped watching; the release goes on. headgate watch {ref}   headgate abort {ref}")
        raise typer.Exit(130) from None
    if not is_live:  # The view's last picture tells the end.
        session.show(ending_json(ref, ending), ending_text(ref, ending))
    raise typer.Exit(ending.exit_code)


async def _stopped(watching: asyncio.Task[None]) -> None:
    """Lets the view show the end, which it sees a moment after the result is there."""
    done, _ = await asyncio.wait({watching}, timeout=3)
    if not done:
        watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
