"""Moments as people write them."""

from __future__ import annotations

from datetime import datetime


def moment(text: str) -> float | None:
    """Seconds since 1970 of a time that is written with its zone; None for anything else."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if read.tzinfo is None else read.timestamp()
