"""Named sets of queries: what data planes and applications call requests, failures and durations, one row each.

`docs/how-to/prometheus.md` repeats the table, and a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from activities.metrics.prometheus.arms import Arm, by_envoy_cluster, by_pods
from activities.metrics.prometheus.settings import Labels
from activities.metrics.sources import app, envoy
from activities.metrics.sources.series import Naming
from workflows.model.target import Slot, Target


def _as_it_is(name: str, slot: Slot) -> Sequence[str]:
    del slot
    return (name,)


@dataclass(frozen=True)
class QuerySet:
    """One source's view of both versions."""

    name: str
    """As metrics write it in `source`."""
    naming: Naming
    arm: Callable[[Target, Slot, Labels], Arm]
    """Errors: Unsupported where a component has nothing of this kind."""
    is_own: bool = False
    """Versions tell about themselves: each target belongs to one slot. Else each tells about both."""
    spellings: Callable[[str, Slot], Sequence[str]] = _as_it_is
    """What a series may be called for a slot."""


QUERY_SETS = {
    each.name: each
    for each in (
        QuerySet("app", app.NAMING, by_pods, is_own=True),
        QuerySet("envoy", envoy.NAMING, by_envoy_cluster, spellings=envoy.spellings),
    )
}
