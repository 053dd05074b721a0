"""A recording judged by a document's analysis: once as one release, or cut into many to see how often it would act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cli.errors import BadInput
from cli.recording import Recording
from cli.report import Chapter, Report
from workflows.analysis.playback import Played, play, windows
from workflows.model.analysis import Analysis
from workflows.model.release import Component, Release

_WORSE = ("pass", "continue", "hold", "rollback")


@dataclass(frozen=True)
class Window:
    """One stretch of the recording, played as a release of its own."""

    started: float
    """Seconds since the recording began."""
    played: Played

    @property
    def verdict(self) -> str:
        """The last decision's."""
        return self.played.last.decision.verdict

    @property
    def peak(self) -> float:
        """The largest evidence against the new version, as a logarithm."""
        return self.played.last.evidence.peak if self.played.last.evidence else 0.0

    def to_json(self) -> dict[str, Any]:
        """One element of `windows`."""
        decision, turns = self.played.last.decision, self.played.turns
        return {
            "seconds": self.started,
            **decision.model_dump(mode="json"),
            "afterSeconds": turns[-1].seconds,
            "peak": self.peak,
        }


@dataclass(frozen=True)
class Backtest:
    """What the analysis would have decided."""

    subject: str
    component: str
    windows: tuple[Window, ...]
    is_cut: bool
    """The recording was cut into more than one release."""
    is_same: bool
    """Both sides were one version, so whatever rolled back was a false alarm."""

    @property
    def shown(self) -> Window:
        """The one that a report shows: the worst verdict, and of these the one with most evidence."""
        return max(self.windows, key=lambda window: (_WORSE.index(window.verdict), window.peak))

    @property
    def counts(self) -> dict[str, int]:
        """How many ended with each verdict."""
        return dict(Counter(window.verdict for window in self.windows))

    @property
    def report(self) -> Report:
        """The shown one, in full."""
        played = self.shown.played
        chapter = Chapter(self.component, played.last.reports, played.last.evidence, played.timeline, played.turns)
        decision = played.last.decision
        return Report(self.subject, "", decision.verdict, f"{decision.reason}: {decision.message}", (chapter,))

    def to_json(self) -> dict[str, Any]:
        """The stable shape of `analyze -o json`."""
        cut = {"windows": [window.to_json() for window in self.windows]} if self.is_cut else {}
        same = {"falseAlarms": self.counts.get("rollback", 0)} if self.is_same else {}
        return {**self.report.to_json(), "verdicts": self.counts, **same, **cut}


def component_of(release: Release, name: str | None) -> tuple[Component, Analysis]:
    """The component whose analysis is played. Errors: BadInput naming those that have one."""
    judged = {component.name: (component, component.analysis) for component in release.spec.components}
    found = {name: (component, analysis) for name, (component, analysis) in judged.items() if analysis}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    known = ", ".join(found) or "none of its components"
    said = f"component {name} has no analysis" if name else "say which component: --component NAME"
    raise BadInput(f"{said}; {known} {'have' if len(found) != 1 else 'has'} one")


def backtest(subject: str, component: str, recording: Recording, *, seconds: float | None, is_same: bool) -> Backtest:
    """Plays a recording, whole or in stretches of so many seconds. Errors: BadInput for one that is too short."""
    begun = recording.readings[0].batch.at
    parts: Sequence[Any] = [recording.readings] if seconds is None else list(windows(recording.readings, seconds))
    if not parts:
        length = recording.readings[-1].batch.at - begun
        raise BadInput(f"--window: the recording is {length:g} s long, so no stretch of {seconds:g} s fits into it")
    played = tuple(Window(part[0].batch.at - begun, play(recording.analysis, part)) for part in parts)
    return Backtest(subject, component, played, is_cut=seconds is not None, is_same=is_same)
