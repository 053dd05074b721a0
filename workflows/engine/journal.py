"""Audit and notifications, never awaited before traffic moves.

Audit goes in order and in batches. Notifications go each on its own: a channel that is down must not keep the next
question to people, or the record, waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.contracts.audit import AuditActivities, AuditRecord
from workflows.contracts.notifications import Notification, NotificationActivities
from workflows.engine import calls
from workflows.model.target import ReleaseRef

_NOTE_GRACE = timedelta(minutes=1)
"""How long the end of a release waits for channels that are down; an audit sink gets all of its tries."""


class Journal:
    """Writes what happened; one batch of records is on its way at a time, what comes meanwhile goes with the next."""

    def __init__(self) -> None:
        self.release: ReleaseRef | None = None
        self._records: list[AuditRecord] = []
        self._count = 0
        self._writing: asyncio.Task[None] | None = None
        self._telling: list[asyncio.Task[None]] = []

    def record(self, event: str, *, actor: str = "headgate", **details: Any) -> None:
        """Adds an audit record; its id makes the sink write it once."""
        if self.release is None:
            return
        self._count += 1
        self._records.append(
            AuditRecord(
                id=f"{workflow.info().run_id}/{self._count}",
                release=self.release,
                event=event,
                actor=actor,
                at=workflow.now(),
                details=details,
            )
        )
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    def tell(
        self, event: str, title: str, message: str = "", severity: Literal["info", "warning", "critical"] = "info"
    ) -> None:
        """Sends a notification to people."""
        if self.release is None:
            return
        note = Notification(
            release=self.release, severity=severity, event=event, title=title, message=message, at=workflow.now()
        )
        self._telling.append(asyncio.create_task(_try(NotificationActivities.send, note, note.title[:100])))

    async def flush(self) -> None:
        """Waits until the record is written or out of tries, and a while for notifications."""
        if self._writing is not None and not self._writing.done():
            await workflow.wait([self._writing])
        telling = [task for task in self._telling if not task.done()]
        if telling:
            await workflow.wait(telling, timeout=_NOTE_GRACE.total_seconds())

    async def _write(self) -> None:
        while self._records:
            records, self._records = self._records, []
            summary = "Audit: " + ", ".join(record.event for record in records)
            await _try(AuditActivities.append, records, summary[:200])


async def _try(method: Callable[..., Any], argument: Any, summary: str) -> None:
    try:
        await calls.call(method, argument, calls.TELL, summary)
    except ActivityError as error:
        workflow.logger.error("audit or notification lost: %s", calls.failure_of(error).message)
