"""What both evidence modes remember of the ticks they saw."""

from __future__ import annotations

from typing import Self

from workflows.analysis.evidence.mixture import Start
from workflows.analysis.evidence.spans import ANCIENT, Held, Span
from workflows.model.shapes import Message


class Course(Message):
    """The part of a mode's state that does not depend on the mode; it grows by no tick."""

    held: Held = Held()
    start: Start = Start()
    used: int = 0
    """Ticks that were evidence, one way or the other."""
    skipped: int = 0
    """Ticks left out on purpose: a shared incident, weights that changed while nobody looked."""
    dropped: int = 0
    """Ticks whose counts contradicted each other."""
    unusable: float = 0.0
    """Seconds of data that could not be used at all."""
    stage: int = -1
    """The stage in which the new version last had requests."""
    evidence: float = 1.0
    """What all bets of this mode hold now; 1 before the first one."""

    def unused(self, span: Span) -> Self:
        """The same after data that this mode cannot use."""
        seconds = min(self.unusable + span.seconds, ANCIENT)
        return self.model_copy(update={"unusable": seconds, "skipped": self.skipped + 1})
