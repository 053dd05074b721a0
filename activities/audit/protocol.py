"""What an audit sink implements: an append that may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from workflows.contracts.audit import AuditRecord


class AuditSink(Protocol):
    """Keeps records for good."""

    async def append(self, records: Sequence[AuditRecord]) -> None:
        """Appends, durably and in order, the records whose ids are not there yet. Errors: Unavailable, Rejected."""
        ...

    async def close(self) -> None:
        """Gives files and threads back; idempotent."""
        ...
