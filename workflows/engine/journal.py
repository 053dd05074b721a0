"""Audit and notifications, in order and in batches, never awaited before traffic moves."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.contracts.audit import AuditActivities, AuditRecord
from workflows.contracts.notifications import Notification, NotificationActivities
from workflows.engine import calls
from workflows.model.target import ReleaseRef


class Journal:
    """Collects what happened; one batch is on its way at a time, what comes meanwhile goes with the next."""

    def __init__(self) -> None:
        self.release: ReleaseRef | None = None
        self._records: list[AuditRecord] = []
        self._notes: list[Notification] = []
        self._count = 0
        self._task: asyncio.Task[None] | None = None

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
        """Adds a notification for people."""
        if self.release is None:
            return
        self._notes.append(
            Notification(
                release=self.release, severity=severity, event=event, title=title, message=message, at=workflow.now()
            )
        )
        self._start()

    async def flush(self) -> None:
        """Waits until everything is written or out of tries."""
        if self._task is not None and not self._task.done():
            await workflow.wait([self._task])

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._records or self._notes:
            records, self._records = self._records, []
            notes, self._notes = self._notes, []
            handles = [calls.begin(NotificationActivities.send, note, calls.TELL, note.title[:100]) for note in notes]
            if records:
                summary = "Audit: " + ", ".join(record.event for record in records)
                handles.append(calls.begin(AuditActivities.append, records, calls.TELL, summary[:200]))
            for handle in handles:
                try:
                    await handle
                except ActivityError as error:
                    workflow.logger.error("audit or notification lost: %s", calls.failure_of(error).message)
