"""What came of the scenarios: whether each ended as it should, and what that meant for users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cli.demo.scenarios import Scenario
from cli.demo.traffic import Tally
from cli.render.styles import OUTCOME_STYLE, plain_table, span
from cli.snapshot import Ending


@dataclass(frozen=True)
class Played:
    """One scenario that is over."""

    scenario: Scenario
    version: str
    ending: Ending
    seconds: float
    tally: Tally
    back_at_zero: float | None
    """When Envoy gave the new version no more users, in Unix time; None unless users saw its fault."""
    url: str

    @property
    def other_failures(self) -> int:
        """Failed requests that the fault of the version does not explain."""
        return self.tally.failed - self.tally.bad_failures

    @property
    def exposure(self) -> float | None:
        """Seconds from the first bad answer a user saw until the new version got no more users."""
        if self.tally.first_bad is None or self.back_at_zero is None:
            return None
        return max(0.0, self.back_at_zero - self.tally.first_bad)

    @property
    def complaints(self) -> list[str]:
        """Why this is not what was expected; empty when it is."""
        return list(self._complaints())

    def _complaints(self) -> Iterator[str]:
        if self.ending.outcome != self.scenario.outcome:
            yield f"ended {self.ending.outcome}, not {self.scenario.outcome}: {self.ending.message}"
        if self.other_failures > 0:
            yield f"{self.other_failures} requests failed that should not have"
        if self.scenario.fault and not self.tally.bad:
            yield "no user saw the fault that the version has"
        if self.scenario.fault and self.tally.bad and self.back_at_zero is None:
            yield "Envoy was not seen to take all users away from the bad version"
        if self.scenario.maintenance != bool(self.tally.maintenance):
            yield f"{self.tally.maintenance} maintenance answers"

    def to_json(self) -> dict[str, Any]:
        """The stable shape of one element of `headgate demo -o json`."""
        return {
            "scenario": self.scenario.name,
            "version": self.version,
            "outcome": self.ending.outcome,
            "expected": self.scenario.outcome,
            "asExpected": not self.complaints,
            "complaints": self.complaints,
            "message": self.ending.message,
            "seconds": round(self.seconds, 1),
            "requests": self.tally.sent,
            "failed": self.tally.failed,
            "lost": self.tally.kinds["lost"],
            "maintenance": self.tally.maintenance,
            "sawFault": self.tally.bad,
            "secondsFromFirstFaultToZero": None if self.exposure is None else round(self.exposure, 2),
            "url": self.url,
        }


def summary(played: Sequence[Played], total: Tally) -> RenderableType:
    """The table, and the sentences below it."""
    table = plain_table()
    table.add_column("scenario")
    table.add_column("ended")
    for name in ("took", "requests", "failed", "saw the fault", "fault → 0 %"):
        table.add_column(name, justify="right")
    for item in played:
        style = OUTCOME_STYLE.get(item.ending.outcome, "bold")
        table.add_row(
            item.scenario.name,
            Text(item.ending.outcome, style=style),
            span(item.seconds),
            f"{item.tally.sent:,}",
            f"{item.tally.failed:,}",
            f"{item.tally.bad:,}" if item.scenario.fault else "–",
            f"{item.exposure:.1f} s" if item.exposure is not None else "–",
        )
    return Group(table, Text(), *_sentences(played, total))


def links(played: Sequence[Played]) -> Iterator[str]:
    """Where each release is in Temporal's UI, a line each; never to be wrapped."""
    width = max(len(item.scenario.name) for item in played)
    yield from (f"{item.scenario.name:<{width}}  {item.url}" for item in played)


def _sentences(played: Sequence[Played], total: Tally) -> Iterator[Text]:
    yield Text(f"{total.sent:,} requests were sent in all, {total.failed:,} failed.")
    if any(item.scenario.fault for item in played):
        yield Text(
            "“fault → 0 %”: from the first bad answer a user saw until Envoy sent nobody to the new version.",
            style="dim",
        )
    for item in played:
        if item.tally.maintenance:
            yield Text(f"{item.scenario.name}: {item.tally.maintenance:,} requests got the maintenance answer.")
        for complaint in item.complaints:
            yield Text(f"{item.scenario.name}: {complaint}", style="bold red")
