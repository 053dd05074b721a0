"""What still reaches a version that goes, on connections that no router leads elsewhere: told, and never waited for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityHandle

from workflows.contracts.metrics import FollowRequest, MetricActivities
from workflows.engine import calls
from workflows.engine.reach import Reach
from workflows.model.status import LateRequests
from workflows.model.target import Slot

_PATIENCE = timedelta(seconds=10)
"""For the answer of whoever counts, once everything is as it was."""


class Aftermath:
    """Counts from the moment a slot's users are gone until its instances are."""

    def __init__(self, reach: Reach, analysis: Mapping[str, Any] | None) -> None:
        self._reach = reach
        self._analysis = analysis
        self._handle: ActivityHandle[LateRequests] | None = None

    def begin(self, slot: Slot) -> None:
        """Starts counting, once."""
        if self._analysis is None or self._handle is not None or not workflow.patched("count-late-requests"):
            return
        request = FollowRequest(target=self._reach.target, slot=slot, analysis=dict(self._analysis))
        summary = f"Count what still reaches {slot}"
        self._handle = self._reach.begin(MetricActivities.follow, request, calls.FOLLOW, summary)

    async def end(self) -> LateRequests | None:
        """Ends it; None where nobody counted, or whoever did was lost."""
        if (handle := self._handle) is None:
            return None
        handle.cancel()
        try:
            await workflow.wait_condition(handle.done, timeout=_PATIENCE)
            return None if handle.cancelled() else handle.result()
        except (TimeoutError, ActivityError) as error:
            workflow.logger.warning("late requests are not known: %s", calls.failure_of(error).message)
            return None
