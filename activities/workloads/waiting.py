"""How long an activity has waited already, over all of its attempts."""

from __future__ import annotations

from temporalio import activity


def waited_before() -> float:
    """Seconds that earlier attempts of this activity waited, by their last heartbeat."""
    details = activity.info().heartbeat_details
    return float(details[0]) if details and isinstance(details[0], (int, float)) else 0.0
