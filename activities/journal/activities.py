"""The first try of audit and notifications together; whoever fails here gets tries of its own afterwards."""

from __future__ import annotations

import asyncio
import logging

from activities.audit.activities import Audit
from activities.notifications.fan_out import deliver
from activities.notifications.protocol import Channel
from activities.registry import Registry
from workflows.contracts.audit import AuditRecord
from workflows.contracts.journal import Entries, JournalActivities, Missed
from workflows.contracts.notifications import Notification
from workflows.errors import TemporaryError

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds after which a sink or a channel counts as failed: the next question to people waits that long at most."""


class Journal(JournalActivities):
    """Asks all sinks and all channels at once."""

    def __init__(self, audit: Audit, channels: Registry[Channel], *, patience: float = PATIENCE) -> None:
        self._audit = audit
        self._channels = channels
        self._patience = patience

    async def write(self, entries: Entries) -> Missed:
        records, told = await asyncio.gather(self._append(entries), asyncio.gather(*map(self._tell, entries.notes)))
        return Missed(records=records, notes=tuple(note for note in told if note is not None))

    async def _append(self, entries: Entries) -> tuple[AuditRecord, ...]:
        """The records for another try."""
        if not entries.records:
            return ()
        try:
            async with asyncio.timeout(self._patience):
                await self._audit.append(list(entries.records))
        except Exception as error:  # noqa: BLE001 - whatever it is, the record gets tries of its own.
            logger.warning("the record was not written at the first try: %s", error)
            return entries.records
        return ()

    async def _tell(self, note: Notification) -> Notification | None:
        """The note for another try, without the channels that need none."""
        try:
            async with asyncio.timeout(self._patience):
                failures = await deliver(self._channels, note)
        except TimeoutError:
            return note
        retried = {name for name, error in failures.items() if isinstance(error, TemporaryError)}
        delivered = tuple(name for name in self._channels.kinds if name not in retried)
        return note.model_copy(update={"delivered": delivered}) if retried else None
