"""What both evidence modes remember of the ticks they saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from workflows.analysis.evidence.mixture import Start
from workflows.analysis.evidence.spans import ANCIENT, Held, Span
from workflows.model.shapes import Message

Skip = Literal["incident", "gap", "unusable", "learning", "warmup", "idle", "alone"]

SKIPS: Final[Mapping[str, str]] = {
    "incident": "a failure began in both versions",
    "gap": "weights may have changed while nobody saw both versions",
    "unusable": "the histogram had no usable edges",
    "learning": "edges of the histogram were not chosen yet",
    "warmup": "the warm-up was not over",
    "idle": "the new version had no requests",
    "alone": "the old version had no requests",
}
"""Why a tick is no evidence, in words."""


class Course(Message):
    """The part of a mode's state that does not depend on the mode; it grows by no tick."""

    held: Held = Held()
    start: Start = Start()
    used: int = 0
    """Ticks that were evidence, one way or the other."""
    skipped: int = 0
    """Ticks left out on purpose."""
    skips: dict[str, int] = {}
    """The same by reason."""
    dropped: int = 0
    """Ticks whose counts contradicted each other."""
    unusable: float = 0.0
    """Seconds of data that could not be used at all."""
    stage: int = -1
    """The stage in which the new version last had requests."""
    evidence: float = 1.0
    """What all bets of this mode hold now; 1 before the first one."""

    def skipping(self, reason: Skip, **update: Any) -> Self:
        """The same after a tick that is left out."""
        skips = {**self.skips, reason: self.skips.get(reason, 0) + 1}
        return self.model_copy(update={**update, "skipped": self.skipped + 1, "skips": skips})

    def idle(self, span: Span, **update: Any) -> Self:
        """The same after a tick in which nothing of the new version counted; the first reading ends no tick."""
        if not (span.seconds or span.is_warming):
            return self.model_copy(update=update) if update else self
        return self.skipping("warmup" if span.is_warming else "idle", **update)

    def unused(self, span: Span) -> Self:
        """The same after data that this mode cannot use."""
        return self.skipping("unusable", unusable=min(self.unusable + span.seconds, ANCIENT))
