"""`approve` and `reject`: a person's vote for an open gate."""

# ruff: noqa: PLR0913, PLR0917 (an option is a parameter)

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.options import By, Release, Rollback
from cli.names import Ref, whoami
from cli.session import Session, command

if TYPE_CHECKING:
    from cli.client import Headgate

Gate = Annotated[
    str | None,
    typer.Option(
        "--gate", "-g", help="The gate, or its instance as `status` shows it.", show_default="the only open one"
    ),
]
Comment = Annotated[str, typer.Option("--comment", "-m", help="Shown in status and audit.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    example = "headgate approve production/trip-service --gate production --comment 'looks good'"
    command(app, "approve", example=example, panel="Steer")(approve)
    example = "headgate reject production/trip-service --gate production --comment 'wait for TRIP-812'"
    command(app, "reject", example=example, panel="Steer")(reject)


def approve(
    session: Session,
    release: Release,
    gate: Gate = None,
    comment: Comment = "",
    by: By = None,
    rollback: Rollback = False,
) -> None:
    """Agree to what an open gate asks."""
    _vote(session, "approve", Ref.parse(release, rollback=rollback), gate=gate, comment=comment, by=by)


def reject(
    session: Session,
    release: Release,
    gate: Gate = None,
    comment: Comment = "",
    by: By = None,
    rollback: Rollback = False,
) -> None:
    """Refuse what an open gate asks: the release ends, undone where it had moved traffic."""
    _vote(session, "reject", Ref.parse(release, rollback=rollback), gate=gate, comment=comment, by=by)


def _vote(session: Session, decision: str, ref: Ref, *, gate: str | None, comment: str, by: str | None) -> None:
    from workflows.model.messages import Receipt

    person = by or whoami()

    async def vote(headgate: Headgate) -> tuple[str, Receipt]:
        chosen = gate or await _only_gate(headgate, ref)
        say = headgate.approve if decision == "approve" else headgate.reject
        return chosen, await say(ref, chosen, by=person, comment=comment)

    chosen, receipt = session.run(vote)
    done = {"approve": "approved", "reject": "rejected"}[decision]
    said = "" if receipt.accepted else f": {receipt.message}"
    session.show(
        {"release": str(ref), "gate": chosen, "by": person, **receipt.model_dump(mode="json")},
        f"{done} gate {chosen!r} of {ref} as {person} (unverified){said}",
    )


async def _only_gate(headgate: Headgate, ref: Ref) -> str:
    from cli.errors import BadInput, Unreachable

    snapshot = await headgate.status(ref)
    if snapshot.ending:
        raise BadInput(f"{ref} has ended {snapshot.ending.outcome}; no gate is open.", reason="NoGate")
    if snapshot.status is None:
        raise Unreachable(
            f"Cannot ask {ref} for its gates: {'; '.join(snapshot.notes)}. Name one with --gate.", reason="NoWorker"
        )
    gates = [gate for gate in snapshot.status.gates if gate.state == "open"]
    if not gates:
        raise BadInput(f"{ref} has no open gate; it is {snapshot.phase}.", reason="NoGate")
    if len(gates) > 1:
        listed = ", ".join(gate.instance for gate in gates)
        raise BadInput(f"{ref} has {len(gates)} open gates; choose one with --gate: {listed}", reason="ManyGates")
    return gates[0].name
