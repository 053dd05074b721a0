"""Keep what happened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any

from temporalio import activity

from workflows.model.shapes import Message
from workflows.model.target import ReleaseRef


class AuditRecord(Message):
    id: str
    """`<run id>/<n>`: the sink writes a record with the same id only once."""
    release: ReleaseRef
    event: str
    """deployment_initiated, approval_granted, traffic_switched, rollback_executed, ..."""
    actor: str = "headgate"
    verified: bool = False
    """Whether the actor's identity was verified."""
    at: datetime
    details: dict[str, Any] = {}


class AuditActivities(ABC):
    """The append-only record; never awaited before traffic moves."""

    @activity.defn(name="audit.append")
    @abstractmethod
    async def append(self, records: list[AuditRecord]) -> None:
        """Appends the records that are not there yet, in order."""
