"""No record at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from activities.settings import SettingsModel
from workflows.contracts.audit import AuditRecord


class NullAuditSettings(SettingsModel):
    """Settings of a sink that keeps nothing."""

    kind: Literal["null"] = "null"


class NullAudit:
    """Keeps nothing."""

    async def append(self, records: Sequence[AuditRecord]) -> None:
        del records

    async def close(self) -> None:
        return None
