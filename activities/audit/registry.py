"""The audit sinks of a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from activities.audit.jsonl import JsonLinesAudit, JsonLinesSettings
from activities.audit.null import NullAudit, NullAuditSettings
from activities.audit.protocol import AuditSink
from activities.registry import Factory, Registry

AuditSettings = Annotated[JsonLinesSettings | NullAuditSettings, Field(discriminator="kind")]
"""Settings of one sink, by `kind`."""


def audit_sinks(settings: Mapping[str, AuditSettings]) -> Registry[AuditSink]:
    """Every sink, third parties' included; each record goes to all of them. Without settings nothing is kept."""
    named = settings or {"null": NullAuditSettings()}
    return Registry("audit", {name: _factory(one) for name, one in named.items()})


def _factory(settings: AuditSettings) -> Factory[AuditSink]:
    match settings:
        case JsonLinesSettings():
            return lambda: JsonLinesAudit(settings)
        case NullAuditSettings():
            return NullAudit
