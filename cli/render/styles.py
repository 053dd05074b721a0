"""The few words of typography that all views share: colours, bars, spans of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

OUTCOME_STYLE = {
    "Succeeded": "bold green",
    "RolledBack": "bold yellow",
    "Aborted": "bold yellow",
    "Cancelled": "bold yellow",
    "Rejected": "bold yellow",
    "Failed": "bold red",
    "BadSpec": "bold red",
    "Terminated": "bold red",
    "TimedOut": "bold red",
}
PHASE_STYLE = {
    **OUTCOME_STYLE,
    "Pending": "dim",
    "Waiting": "bold magenta",
    "Paused": "bold magenta",
    "Preparing": "bold blue",
    "Shifting": "bold blue",
    "Observing": "bold cyan",
    "Promoting": "bold blue",
    "Watching": "bold cyan",
    "Committing": "bold blue",
    "RollingBack": "bold yellow",
}


def plain_table() -> Table:
    """Columns without lines."""
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def span(seconds: float) -> str:
    """A duration with two units at most: 4s, 12m 04s, 2h 05m, 3d 4h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def since(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, or nothing."""
    if moment is None:
        return ""
    return span(((now or datetime.now(UTC)) - moment).total_seconds())


def clock(moment: datetime | None) -> str:
    """The local time of day."""
    return moment.astimezone().strftime("%H:%M:%S") if moment else ""


def stamp(moment: datetime | None) -> str:
    """The local date and time."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def percent(value: float) -> str:
    """5 %, 0.5 %."""
    return f"{round(value, 2):g} %"


def bar(share: float, width: int, style: str) -> Text:
    """A bar filled to half a character; `share` is cut to 0..1."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    filled = "━" * (halves // 2) + "╸" * (halves % 2)
    text = Text(filled, style=style)
    text.append("─" * (width - len(filled)), style="bright_black")
    return text


def warnings(sentences: Iterable[str]) -> Iterator[Text]:
    """A line for each."""
    for sentence in sentences:
        yield Text.assemble(("warning ", "yellow"), sentence)
