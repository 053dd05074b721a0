"""What the demo shows while a release runs: the view of `headgate watch`, and what the users get meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cli.demo.traffic import Record, Tally
from cli.render.follow import Changes, snapshots
from cli.render.release import render

if TYPE_CHECKING:
    from cli.client import Headgate
    from cli.names import Ref

_LINES = 6


class View:
    """Redraws on a terminal, prints a line per change elsewhere; whatever else happens is a line in both."""

    def __init__(self, console: Console, *, is_live: bool) -> None:
        self._console = console
        self._is_live = is_live
        self._live: Live | None = None
        self._lines: list[str] = []

    def say(self, line: str) -> None:
        """One line about what the demo does."""
        if self._live:
            self._lines.append(line)
        else:
            self._console.print(line, markup=False, soft_wrap=True)

    def heading(self, title: str, commands: Iterable[str] = ()) -> None:
        """Begins a scenario, with the commands that do the same."""
        self._console.print()
        self._console.print(Text(title, style="bold"), soft_wrap=True)
        for command in commands:
            self._console.print(Text(f"  $ {command}", style="cyan"), soft_wrap=True)

    async def follow(self, headgate: Headgate, ref: Ref, run_id: str, record: Record) -> None:
        """Shows one release until it has ended."""
        if not self._is_live:
            await self._print(headgate, ref, run_id)
            return
        self._lines.clear()
        changes = Changes()
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as self._live:
            async for snapshot in snapshots(headgate, ref, run_id=run_id):
                record.read()
                self._lines += changes.since_last(snapshot)
                log = [Text(line, style="dim") for line in self._lines[-_LINES:]]
                whole = Group(render(snapshot, width=self._console.width), Text(), users(record.part), Text(), *log)
                self._live.update(whole, refresh=True)
        self._live = None

    async def _print(self, headgate: Headgate, ref: Ref, run_id: str) -> None:
        changes = Changes()
        async for snapshot in snapshots(headgate, ref, run_id=run_id):
            for line in changes.since_last(snapshot):
                self.say(f"  {line}")


def users(tally: Tally) -> Text:
    """What the users got so far, in a line."""
    text = Text.assemble(("users  ", "bold"), f"{tally.sent:,} requests, ")
    text.append(f"{tally.failed:,} failed", style="red" if tally.failed else "green")
    if tally.bad:
        text.append(f", {tally.bad:,} saw the fault of the new version", style="red")
    if tally.maintenance:
        text.append(f", {tally.maintenance:,} got the maintenance answer", style="yellow")
    return text
