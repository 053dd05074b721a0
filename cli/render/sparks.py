"""Lines of a report as one row of characters each."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float | None], *, low: float = 0.0, high: float | None = None) -> str:
    """A bar for each value, between `low` and `high`, by default the largest; a blank where there is none."""
    known = [value for value in values if value is not None]
    top = max([low, *known]) if high is None else high
    return "".join(
        " " if value is None else _bar((value - low) / (top - low) if top > low else 0.0) for value in values
    )


def _bar(part: float) -> str:
    return _BARS[round(max(0.0, min(1.0, part)) * (len(_BARS) - 1))]
