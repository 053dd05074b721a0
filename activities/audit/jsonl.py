"""Audit as JSON lines, one file per environment; whoever keeps them for years copies them from there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from activities.audit.journal import Journal
from activities.settings import SettingsModel
from workflows.contracts.audit import AuditRecord
from workflows.errors import Rejected, Unavailable
from workflows.model.shapes import NAME_PATTERN


class JsonLinesSettings(SettingsModel):
    """Settings of a sink that appends to local files."""

    kind: Literal["jsonl"] = "jsonl"
    directory: Path
    """Where `<environment>.jsonl` files grow; several workers may share it on a local file system."""


class JsonLinesAudit:
    """Appends in one thread: the order of a file is the order of the calls."""

    def __init__(self, settings: JsonLinesSettings) -> None:
        self._directory = settings.directory
        self._journals: dict[str, Journal] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")

    async def append(self, records: Sequence[AuditRecord]) -> None:
        by_environment: dict[str, list[dict[str, Any]]] = {}
        for record in records:
            environment = record.release.environment
            by_environment.setdefault(environment, []).append(record.model_dump(mode="json", by_alias=True))
        loop = asyncio.get_running_loop()
        for environment, group in by_environment.items():
            await loop.run_in_executor(self._thread, self._append, environment, group)

    async def close(self) -> None:
        self._thread.shutdown(wait=False)

    def _append(self, environment: str, records: list[dict[str, Any]]) -> None:
        if not re.match(NAME_PATTERN, environment):
            raise Rejected(f"{environment!r} is not an environment's name", provider="jsonl", operation="append")
        path = self._directory / f"{environment}.jsonl"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._journals.setdefault(environment, Journal(path)).append(records)
        except OSError as error:
            raise Unavailable(
                f"the audit file {path} cannot be written ({error.strerror}); check its disk and permissions",
                provider="jsonl",
                operation="append",
            ) from error
