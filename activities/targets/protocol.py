"""What target activities need to know of workflows."""

from __future__ import annotations

from typing import Protocol


class RunProbe(Protocol):
    """Tells whether workflow runs are open, from the server that runs them."""

    @property
    def namespace(self) -> str:
        """The Temporal namespace that it can ask about."""
        ...

    async def is_open(self, workflow_id: str, run_id: str | None) -> bool:
        """Whether this run is open, or any run of the workflow without a run id; unknown workflows are not.

        Errors: Unavailable when the server gives no answer; "no answer" is never "closed".
        """
        ...
