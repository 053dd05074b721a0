"""The bridge from the audit contract to every sink."""

from __future__ import annotations

import asyncio

from activities.audit.protocol import AuditSink
from activities.registry import Registry
from workflows.contracts.audit import AuditActivities, AuditRecord


class Audit(AuditActivities):
    """Appends to all sinks; as they drop what they have, a repetition after one of them failed does no harm."""

    def __init__(self, sinks: Registry[AuditSink]) -> None:
        self._sinks = sinks

    async def append(self, records: list[AuditRecord]) -> None:
        results = await asyncio.gather(*(sink.append(records) for sink in self._sinks), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
