"""Which versions stay known beside a target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from workflows.model.target import Promoted

KEPT = 10
"""Records of each outcome that stay beside a target."""


def newest(records: Sequence[Promoted]) -> list[Promoted]:
    """The last ones of each outcome, in their order."""
    kept: list[Promoted] = []
    seen: Counter[str] = Counter()
    for record in reversed(records):
        seen[record.outcome] += 1
        if seen[record.outcome] <= KEPT:
            kept.insert(0, record)
    return kept
