"""A release that is over, played to the session that would have watched it: the same decisions, at the same moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from workflows.analysis.batches import Batch
from workflows.analysis.session import Segment, SessionState, Step, begin, step
from workflows.model.analysis import Analysis
from workflows.model.decision import Decision, Timeline
from workflows.model.target import Slot


class Staged(NamedTuple):
    """What was read at one moment, and the stage that the release was in."""

    batch: Batch
    stage: str = ""


class Turn(NamedTuple):
    """A decision that differs from the one before it."""

    seconds: float
    """Since the observation began."""
    decision: Decision


class Played(NamedTuple):
    """How it went."""

    turns: tuple[Turn, ...]
    last: Step

    @property
    def timeline(self) -> Timeline:
        """All of it, in steps."""
        return self.last.state.timeline


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
            yield Turn((one.state.at or begun) - begun, one.decision)
        before = now


def windows(readings: Sequence[Staged], seconds: float) -> Iterator[Sequence[Staged]]:
    """The readings in stretches of this length, each to be played as a release of its own, without a shorter rest."""
    start = 0
    for index, reading in enumerate(readings):
        if reading.batch.at - readings[start].batch.at >= seconds:
            yield readings[start : index + 1]
            start = index


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
