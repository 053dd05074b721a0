"""The new version alone, held against what the old one did earlier in the release: a rule, not evidence.

At 100 % nothing serves beside the new version, so no share can be compared, and an incident behind it looks as if it
were its own fault. No bound on false rollbacks is claimed for this, and it takes no part in the evidence.
"""

from __future__ import annotations

from workflows.analysis.evidence.bets import Pair, limited
from workflows.analysis.evidence.intervals import share_interval
from workflows.analysis.evidence.mixture import Form, Mixture, Start, advanced, evidence
from workflows.model.shapes import Message

IN_A_ROW = 200.0
"""Requests of the new version without one of the old before it counts as alone: at a weight of 95 % so many follow each
other by chance once in 30,000 times."""

LARGEST = 2.0**53


class Alone(Message):
    """What the new version did since the old one last served."""

    bad: float = 0.0
    total: float = 0.0
    mixture: Mixture = Mixture()
    start: Start = Start()
    evidence: float = 1.0
    """What bets against the recorded share hold now."""

    @property
    def is_certain(self) -> bool:
        """Whether the old version has really left."""
        return self.total >= IN_A_ROW


def recorded_limit(recorded: Pair, ratio: float, alpha: float) -> float:
    """The share that the new version may reach: `ratio` times the most that the old one's counts allow to believe."""
    return min(1.0, ratio * (share_interval(recorded.old_bad, recorded.old_total, alpha).high or 1.0))


def advance(form: Form, alone: Alone, pair: Pair, limit: float) -> Alone:
    """One tick further."""
    trial = limited(pair, limit)
    mixture = advanced(form, alone.mixture, trial, starting=alone.start.share(form))
    start = alone.start.after(form)
    return Alone(
        bad=min(alone.bad + pair.new_bad, LARGEST),
        total=min(alone.total + pair.new_total, LARGEST),
        mixture=mixture,
        start=start,
        evidence=evidence(form, mixture, idle=start.idle),
    )
