"""A release that is over, played to the session that would have watched it: the same decisions, at the same moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from workflows.analysis.batches import Batch
from workflows.analysis.session import Segment, SessionState, Step, begin, step
from workflows.model.analysis import Analysis
from workflows.model.backtest import Backtested, Turn, Window
from workflows.model.target import Slot


class Staged(NamedTuple):
    """What was read at one moment, and the stage that the release was in."""

    batch: Batch
    stage: str = ""


class Played(NamedTuple):
    """How it went."""

    turns: tuple[Turn, ...]
    last: Step

    @property
    def peak(self) -> float:
        """The largest evidence against the new version, as a logarithm."""
        return self.last.evidence.peak if self.last.evidence else 0.0


_WORSE = ("pass", "continue", "hold", "rollback")

MOST_TURNS = 200
"""The last decisions that are told of a recording in which they keep changing."""


def backtest(analysis: Analysis, readings: Sequence[Staged], seconds: float | None) -> Backtested:
    """Plays a recording whole, or in stretches of so many seconds. Errors: ValueError for one that is too short."""
    parts = [readings] if seconds is None else list(windows(readings, seconds))
    if not parts:
        length = readings[-1].batch.at - readings[0].batch.at
        message = f"the recording is {length:g} s long, so no stretch of {seconds:g} s fits into it"
        raise ValueError(message)
    played = [play(analysis, part) for part in parts]
    shown = max(range(len(parts)), key=lambda i: (_WORSE.index(played[i].last.decision.verdict), played[i].peak))
    begun, last = readings[0].batch.at, played[shown].last
    return Backtested(
        windows=tuple(_window(part[0].batch.at - begun, each) for part, each in zip(parts, played, strict=True)),
        shown=shown,
        turns=played[shown].turns[-MOST_TURNS:],
        metrics=last.reports,
        evidence=last.evidence,
        timeline=last.state.timeline,
    )


def _window(began: float, played: Played) -> Window:
    last = played.turns[-1]
    return Window(seconds=began, decision=played.last.decision, after_seconds=last.seconds, peak=played.peak)


def play(analysis: Analysis, readings: Sequence[Staged]) -> Played:
    """Plays the readings in their order until something rolls back; after a hold it goes on, as if people said so.

    A stage wants all the time that it has in the readings, so whether it passes is decided at its end.
    """
    played = list(_steps(analysis, readings))
    return Played(tuple(_turns(played, readings[0].batch.at)), played[-1])


def _turns(steps: Sequence[Step], begun: float) -> Iterator[Turn]:
    before = ("", "")
    for one in steps:
        if (now := (one.decision.verdict, one.decision.reason)) != before:
            yield Turn(seconds=(one.state.at or begun) - begun, decision=one.decision)
        before = now


def windows(readings: Sequence[Staged], seconds: float) -> Iterator[Sequence[Staged]]:
    """The readings in stretches of this length, each to be played as a release of its own, without a shorter rest."""
    start = 0
    for index, reading in enumerate(readings):
        if reading.batch.at - readings[start].batch.at >= seconds:
            yield readings[start : index + 1]
            start = index + (reading.batch.since is not None)


def _steps(analysis: Analysis, readings: Sequence[Staged]) -> Iterator[Step]:
    state = SessionState()
    old: tuple[Slot, ...] = ("stable",) if any(_has_stable(reading.batch) for reading in readings) else ()
    for number, (stage, grouped) in enumerate(groupby(readings, key=lambda reading: reading.stage), start=1):
        batches = [reading.batch for reading in grouped]
        need = batches[-1].at - batches[0].at
        segment = Segment(number, ("canary",), old, need_seconds=need, stage=f"{number} {stage}")
        state = begin(state, segment)
        for batch in batches:
            result = step(analysis, segment, state, batch)
            state = result.state
            yield result
            if result.decision.verdict == "rollback":
                return


def _has_stable(batch: Batch) -> bool:
    return any(unit.slot == "stable" for unit in batch.units)
