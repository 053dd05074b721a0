"""Write down what happened and tell people, in one call."""

from __future__ import annotations

from abc import ABC, abstractmethod

from temporalio import activity

from workflows.contracts.audit import AuditRecord
from workflows.contracts.notifications import Notification
from workflows.model.shapes import Message


class Entries(Message):
    records: tuple[AuditRecord, ...] = ()
    notes: tuple[Notification, ...] = ()


class Missed(Message):
    """What did not get through at the first try, to be tried again by `audit.append` and `notifications.send`."""

    records: tuple[AuditRecord, ...] = ()
    notes: tuple[Notification, ...] = ()


class JournalActivities(ABC):
    """The usual way of record and notifications: both get through at once, for half the history of two calls."""

    @activity.defn(name="journal.write")
    @abstractmethod
    async def write(self, entries: Entries) -> Missed:
        """Tries everything once and for a few seconds; what fails is a value. At least once, records exactly once."""
