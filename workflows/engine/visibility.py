"""What a release shows in Temporal's lists: constants and validated names only.

A search attribute of more than 2 KB terminates the run at the server, so `show` is the only place that writes them,
and it cuts. Sentences belong into `status`, summaries and current details.
"""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

NAME = SearchAttributeKey.for_keyword("HeadgateName")
ENVIRONMENT = SearchAttributeKey.for_keyword("HeadgateEnvironment")
VERSION = SearchAttributeKey.for_keyword("HeadgateVersion")
PHASE = SearchAttributeKey.for_keyword("HeadgatePhase")
WEIGHT = SearchAttributeKey.for_float("HeadgateWeight")
WAITING_FOR = SearchAttributeKey.for_keyword("HeadgateWaitingFor")

KEYS: tuple[SearchAttributeKey[Any], ...] = (NAME, ENVIRONMENT, VERSION, PHASE, WEIGHT, WAITING_FOR)
"""Every search attribute that `headgate setup` registers and a worker checks before it polls."""

_LIMIT = 200


def cut(text: str) -> str:
    """At most 200 bytes of UTF-8, never half a character."""
    return text.encode()[:_LIMIT].decode(errors="ignore")


class Visibility:
    """Upserts only what changed: each upsert is a history event."""

    def __init__(self) -> None:
        self._shown: dict[SearchAttributeKey[Any], str | float] = {}

    def show(self, values: dict[SearchAttributeKey[Any], str | float]) -> None:
        """Writes the values that differ from what was written before."""
        updates: list[SearchAttributeUpdate[Any]] = []
        for key, value in values.items():
            small = cut(value) if isinstance(value, str) else value
            if self._shown.get(key) != small:
                self._shown[key] = small
                updates.append(key.value_set(small))
        if updates:
            workflow.upsert_search_attributes(updates)
