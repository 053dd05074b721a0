"""What a pod says about itself."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf

import pytest

from activities.clusters.kubernetes.pods import OVERDUE, lost_at

DEADLINE = "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("deadline", "ready", "lost"),
    [
        (DEADLINE, "False", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp() + OVERDUE),
        (DEADLINE, "True", inf),
        (None, "False", inf),
    ],
    ids=["past its deadline", "still ready", "not asked to stop"],
)
def test_a_pod_is_lost_with_its_node_when_nobody_ends_it(deadline: str | None, ready: str, lost: float) -> None:
    conditions = [{"type": "Ready", "status": ready}]
    assert lost_at({"metadata": {"deletionTimestamp": deadline}, "status": {"conditions": conditions}}) == lost
