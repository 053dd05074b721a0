"""`pause`, `resume`, `advance`, `abort`, `rollback`: what a person does to a release under way."""

# ruff: noqa: PLR0913, PLR0917 (an option is a parameter)

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.options import By, Reason, Release, Sequence, Timeout, seconds
from cli.names import Ref, whoami
from cli.session import Session, command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cli.client import Headgate
    from workflows.model.messages import Receipt

_PANEL = "Steer"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, "pause", example="headgate pause production/trip-service", panel=_PANEL)(pause)
    command(app, "resume", example="headgate resume production/trip-service", panel=_PANEL)(resume)
    command(app, "advance", example="headgate advance production/trip-service --full", panel=_PANEL)(advance)
    example = "headgate abort production/trip-service --reason 'customers complain'"
    command(app, "abort", example=example, panel=_PANEL)(abort)
    example = "headgate rollback production/trip-service --to v1.1.0 --reason 'orders are lost' --wait"
    command(app, "rollback", example=example, panel=_PANEL)(rollback)


def pause(session: Session, release: Release, by: By = None, sequence: Sequence = None) -> None:
    """Keep the weights where they are; the guard goes on and still rolls back."""
    _send(session, release, by, "paused", lambda h, ref, who: h.pause(ref, by=who, sequence=sequence))


def resume(
    session: Session,
    release: Release,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Write again what somebody else changed in mid-release.")
    ] = False,
    by: By = None,
    sequence: Sequence = None,
) -> None:
    """Go on after a pause or a hold, or retry a blocked undo."""
    _send(
        session,
        release,
        by,
        "resumed",
        lambda h, ref, who: h.resume(ref, by=who, take_over=take_over, sequence=sequence),
    )


def advance(
    session: Session,
    release: Release,
    full: Annotated[bool, typer.Option("--full", help="Go on to promotion, past all stages.")] = False,
    by: By = None,
    sequence: Sequence = None,
) -> None:
    """End the current observation early, where policy permits."""
    _send(session, release, by, "advanced", lambda h, ref, who: h.advance(ref, by=who, full=full, sequence=sequence))


def abort(
    session: Session,
    release: Release,
    reason: Reason = "",
    by: By = None,
    abandon_undo: Annotated[
        bool, typer.Option("--abandon-undo", help="End a release whose undo is blocked; leaves its targets marked.")
    ] = False,
) -> None:
    """Undo the release and end it."""
    if abandon_undo:
        from cli.errors import BadInput

        if not reason:
            raise BadInput("--abandon-undo needs --reason: somebody will ask why the targets were left as they are.")
        _send(
            session,
            release,
            by,
            "abandoned the undo of",
            lambda h, ref, who: h.abandon_undo(ref, by=who, reason=reason),
        )
        return
    _send(session, release, by, "aborting", lambda h, ref, who: h.abort(ref, by=who, reason=reason))


def _send(
    session: Session,
    release: str,
    by: str | None,
    done: str,
    say: Callable[[Headgate, Ref, str], Awaitable[Receipt]],
) -> None:

    ref, person = Ref.parse(release), by or whoami()
    receipt = session.run(lambda headgate: say(headgate, ref, person))
    said = "" if receipt.accepted else f": {receipt.message}"
    session.show(
        {"release": str(ref), "by": person, **receipt.model_dump(mode="json")},
        f"{done} {ref} as {person} (unverified){said}",
    )


def rollback(
    session: Session,
    release: Release,
    to: Annotated[
        str, typer.Option("--to", help="The version to return to; `history` lists them.", show_default=False)
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why, for status and audit.", show_default=False)],
    by: By = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and exit by its outcome.")] = False,
    timeout: Timeout = None,
) -> None:
    """Return to an earlier version; of a release under way it is an abort."""
    from cli.commands.start import conclude, report_start

    limit = seconds("--timeout", timeout)
    ref, person = Ref.parse(release), by or whoami()
    started = session.run(lambda headgate: headgate.rollback(ref, to, reason=reason, by=person))
    if not wait:
        report_start(session, started, f"rolling {ref} back to {to} as {person} (unverified)")
        return
    for note in started.notes:
        session.note(note)
    conclude(session, started.ref, run_id=started.run_id, limit=limit)
