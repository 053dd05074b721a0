"""Audit and notifications, never awaited before traffic moves.

Both go together, in order and in batches. What does not get through at the first try is tried again on its own: a
channel that is down must not keep the next question to people, or the record, waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.contracts.audit import AuditActivities, AuditRecord
from workflows.contracts.journal import Entries, JournalActivities, Missed
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
        self._notes: list[Notification] = []
        self._count = 0
        self._late: list[AuditRecord] = []
        self._writing: asyncio.Task[None] | None = None
        self._appending: asyncio.Task[None] | None = None
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
        self._start()

    def tell(
        self, event: str, title: str, message: str = "", severity: Literal["info", "warning", "critical"] = "info"
    ) -> None:
        """Sends a notification to people."""
        if self.release is None:
            return
        self._notes.append(
            Notification(
                release=self.release, severity=severity, event=event, title=title, message=message, at=workflow.now()
            )
        )
        self._start()

    async def flush(self) -> None:
        """Waits until the record is written or out of tries, and a while for notifications."""
        for task in (self._writing, self._appending):
            if task is not None and not task.done():
                await workflow.wait([task])
        telling = [task for task in self._telling if not task.done()]
        if telling:
            await workflow.wait(telling, timeout=_NOTE_GRACE.total_seconds())

    def _start(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._records or self._notes:
            records, notes = self._records, self._notes
            self._records, self._notes = [], []
            if self._late:
                self._late += records
                records = []
            if not records and not notes:
                continue
            summary = ", ".join([record.event for record in records] + [note.title for note in notes])
            entries = Entries(records=tuple(records), notes=tuple(notes))
            missed: Missed | None = await _try(JournalActivities.write, entries, f"Journal: {summary}")
            self._try_again(missed or Missed(records=entries.records, notes=entries.notes))

    def _try_again(self, missed: Missed) -> None:
        for note in missed.notes:
            self._telling.append(asyncio.create_task(_try(NotificationActivities.send, note, note.title)))
        if missed.records:
            self._late += missed.records
            self._appending = asyncio.create_task(self._append())

    async def _append(self) -> None:
        """Writes what is late, in order; what comes meanwhile queues up behind it."""
        while self._late:
            batch = list(self._late)
            await _try(AuditActivities.append, batch, "Audit: " + ", ".join(record.event for record in batch))
            del self._late[: len(batch)]


async def _try(method: Callable[..., Any], argument: Any, summary: str) -> Any:
    try:
        return await calls.call(method, argument, calls.TELL, summary[:200])
    except ActivityError as error:
        workflow.logger.error("audit or notification lost: %s", calls.failure_of(error).message)
        return None
