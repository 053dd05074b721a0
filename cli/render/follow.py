"""Follow a release until it ends: redrawn each second on a terminal, a line per change elsewhere.

Each round costs one describe and one query per workflow (the release and each running rollout). Queries add no history,
but each wakes a worker; docs/reference/cli.md says what that costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cli.errors import Unreachable
from cli.render.styles import percent

if TYPE_CHECKING:
    from cli.client import Headgate
    from cli.names import Ref
    from cli.session import Session
    from cli.snapshot import Snapshot
    from workflows.model.status import Wait

INTERVAL = 1.0
_EVENTS = 8


async def follow_live(session: Session, headgate: Headgate, ref: Ref, *, run_id: str | None = None) -> None:
    """Redraws the view each second; returns when the release has ended."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from cli.render.release import render

    console = session.console
    events: list[str] = []
    changes = Changes()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        async for snapshot in snapshots(headgate, ref, run_id=run_id):
            events += changes.since_last(snapshot)
            log = [Text(line, style="dim") for line in events[-_EVENTS:]]
            live.update(Group(render(snapshot, width=console.width), Text(), *log), refresh=True)


async def follow_lines(session: Session, headgate: Headgate, ref: Ref, *, run_id: str | None = None) -> None:
    """Prints what changes, a line each on standard error; returns when the release has ended."""
    changes = Changes()
    async for snapshot in snapshots(headgate, ref, run_id=run_id):
        for line in changes.since_last(snapshot):
            session.note(line)


async def snapshots(headgate: Headgate, ref: Ref, *, run_id: str | None = None) -> AsyncIterator[Snapshot]:
    """One snapshot a second, the last one with the ending; a server that is away for a while is asked again."""
    while True:
        try:
            snapshot = await headgate.status(ref, run_id=run_id)
        except Unreachable:
            await asyncio.sleep(INTERVAL)
            continue
        yield snapshot
        if snapshot.ending:
            return
        await asyncio.sleep(INTERVAL)


class Changes:
    """Tells what is different from the snapshot before, in lines that read as a log."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def since_last(self, snapshot: Snapshot) -> list[str]:
        """The lines of what is new."""
        now = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
        new = [line for key, line in _facts(snapshot) if self._last.get(key) != line]
        self._last.update(_facts(snapshot))
        return [f"{now} {line}" for line in new if line]


def _wait(who: str, wait: Wait | None) -> str:
    """Nothing for an approval, which has its gate's own line."""
    return f"{who}: {wait.message}" if wait and wait.reason != "ApprovalWanted" else ""


def _facts(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Everything worth a line, each under the key that it replaces."""
    yield "phase", f"{snapshot.ref}: {snapshot.phase}"
    yield "notes", "; ".join(snapshot.notes)
    status = snapshot.status
    if status is None:
        return
    yield "wait", _wait("waits", status.wait)
    for gate in status.gates:
        votes = ", ".join(f"{vote.person} {vote.decision}s" for vote in gate.votes) or f"0 of {gate.count}"
        yield f"gate {gate.instance}", f"gate {gate.name} {gate.state}: {votes}"
    for number, refusal in enumerate(status.refused):
        yield f"refused {number} {refusal.at}", f"refused {refusal.message}: {refusal.reason}"
    for component in status.components:
        name = component.component
        yield f"{name} step", f"{name}: {component.summary}" if component.summary else ""
        if component.verified:
            yield f"{name} weight", f"{name}: {percent(component.weight)} verified"
        yield f"{name} wait", _wait(f"{name} waits", component.wait)
        for metric in component.metrics:
            bad = metric.state not in {"ok", "insufficient"}
            yield f"{name} {metric.name}", f"{name}: {metric.name} {metric.sentence or metric.state}" if bad else ""
