"""One tick of one metric, and what an evaluator makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from workflows.analysis.samples import Counts
from workflows.model.decision import Decision, MetricReport

NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Tick:
    """What happened to one metric since the last tick."""

    seconds: float
    """Time since the last tick, whether or not there was data; 0 when nobody looked meanwhile."""
    new: Counts = NOTHING
    """What the new version counted."""
    old: Counts = NOTHING
    """What the old version counted; empty where there is none."""
    is_gap: bool = False
    """The counts cover a time in which nobody looked: they may condemn and never acquit."""
    error: str = ""
    """Why the source could not be read in full; empty when it could."""
    baseline_error: str = ""
    """The same for the old version; rules do not need it."""
    is_shifted: bool = False
    """The weights may have changed within; rules do not care."""
    is_warming: bool = False
    """The new version's counts were thrown away."""
    stage: int = 0
    """Which stage this is, counted over the release."""
    is_beside: bool = False
    """The old version serves users beside the new one."""


class Evaluation(NamedTuple):
    """The evaluator's new state, what people see, and the metric's decision."""

    state: dict[str, Any]
    report: MetricReport | None
    """None for evidence, which is reported over all modes and metrics together (`evidence.findings`)."""
    decision: Decision
