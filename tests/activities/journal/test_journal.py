"""Record and notifications in one call: what fails is a value, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from activities.audit.activities import Audit
from activities.boundary import implement
from activities.journal.activities import Journal
from activities.registry import Registry
from tests.activities.notifications.test_notifications import Fake, a_message
from workflows.contracts.audit import AuditRecord
from workflows.contracts.journal import Entries, JournalActivities, Missed
from workflows.errors import Denied, ProviderError, Unavailable

RECORD = AuditRecord.model_validate({"id": "r/1", "release": a_message().release, "event": "hold", "at": 0})
BOTH = Entries(records=(RECORD,), notes=(a_message(),))


class Sink:
    """Keeps records, fails, or never answers."""

    def __init__(self, error: ProviderError | None = None, *, hangs: bool = False) -> None:
        self.error, self.hangs = error, hangs
        self.kept: list[AuditRecord] = []

    async def append(self, records: Sequence[AuditRecord]) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        self.kept += records

    async def close(self) -> None:
        return None


async def written(sink: Sink, **people: Fake) -> Missed:
    made = {name: lambda one=one: one for name, one in people.items()}
    journal = Journal(Audit(Registry("audit", {"sink": lambda: sink})), Registry("notifications", made), patience=0.2)
    return await journal.write(BOTH)


async def test_both_get_through_at_once() -> None:
    sink, channel = Sink(), Fake()
    assert await written(sink, ops=channel) == Missed()
    assert (sink.kept, channel.sent) == ([RECORD], 1)


async def test_a_channel_that_is_down_is_told_apart_from_those_that_have_the_message() -> None:
    sink = Sink()
    missed = await written(sink, ops=Fake(), pager=Fake(Unavailable("down")), mail=Fake(Denied("no")))
    assert [note.delivered for note in missed.notes] == [("mail", "ops")]
    assert (missed.records, sink.kept) == ((), [RECORD])


async def test_a_record_that_cannot_be_written_stops_no_message() -> None:
    for sink in (Sink(Unavailable("full")), Sink(hangs=True)):
        channel = Fake()
        assert await written(sink, ops=channel) == Missed(records=(RECORD,))
        assert channel.sent == 1


def test_write_is_the_whole_contract() -> None:
    journal = Journal(Audit(Registry("audit", {})), Registry("notifications", {}))
    assert len(implement(JournalActivities, journal)) == 1
