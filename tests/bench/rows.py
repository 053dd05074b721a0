"""What a benchmark hands back: rows with a target, tables without one, and sentences about both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One claim and what was measured of it; every value has to keep the limit, not their median."""

    what: str
    target: str
    values: Sequence[float]
    unit: str = "s"
    limit: float | None = None
    """The largest value that keeps the target; None where nothing was promised."""
    below: bool = False
    """The limit itself is too much already."""
    note: str = ""
    """How it was measured, in a sentence or two."""

    @classmethod
    def under(cls, what: str, seconds: float, values: Sequence[float], note: str = "") -> Row:
        """A time that has to stay below so many seconds."""
        return cls(what, f"< {seconds:g} s", values, limit=seconds, below=True, note=note)

    @property
    def met(self) -> bool | None:
        """None where nothing was promised."""
        if self.limit is None:
            return None
        worst = max(self.values, default=float("inf"))
        return worst < self.limit if self.below else worst <= self.limit

    @property
    def spread(self) -> tuple[float, float, float]:
        """Smallest, median, largest."""
        return min(self.values), median(self.values), max(self.values)

    def to_json(self) -> dict[str, Any]:
        low, middle, high = self.spread if self.values else (None, None, None)
        return {
            "what": self.what,
            "target": self.target,
            "unit": self.unit,
            "min": low,
            "median": middle,
            "max": high,
            "met": self.met,
            "note": self.note,
            "values": [round(value, 4) for value in self.values],
        }


@dataclass(frozen=True)
class Sheet:
    """A table of its own: a breakdown, a series."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]

    def to_json(self) -> dict[str, Any]:
        return {"title": self.title, "columns": list(self.columns), "lines": [list(line) for line in self.lines]}


@dataclass(frozen=True)
class Measured:
    """Everything that one benchmark found out."""

    rows: Sequence[Row] = ()
    sheets: Sequence[Sheet] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def missed(self) -> Iterator[Row]:
        return (row for row in self.rows if row.met is False)


def shown(value: float, unit: str) -> str:
    """A value as people read it."""
    if unit == "s":
        return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"
    return f"{value:,.0f}" + (f" {unit}" if unit else "")


def answer(met: bool | None) -> Literal["yes", "MISSED", "–"]:
    """The last column."""
    if met is None:
        return "–"
    return "yes" if met else "MISSED"
