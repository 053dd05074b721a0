"""What a worker writes to standard error: one line a change, readable or JSON, with the release behind it.

Temporal's Rust core writes through the same handler. Providers' messages carry no secrets; as a second line of defence
the same redaction that guards Temporal's history guards every line here.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from temporalio import activity, workflow
from temporalio.runtime import LogForwardingConfig, LoggingConfig, TelemetryFilter

from activities.boundary import redact
from worker.context import fields_of
from worker.settings import LogSettings

_CORE = logging.getLogger("temporalio.core")


def configure(settings: LogSettings, stream: TextIO = sys.stderr) -> None:
    """Makes every logger of the process write here, Temporal's included."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else ConsoleFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    logging.getLogger("temporalio.worker").setLevel(logging.WARNING)
    workflow.logger.workflow_info_on_message = activity.logger.activity_info_on_message = False
    workflow.logger.full_workflow_info_on_extra = True


def core_logging() -> LoggingConfig:
    """Sends what Temporal's core logs to Python's logging."""
    return LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logger=_CORE, append_target_to_name=False),
    )


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
            **fields_of(record),
        }
        if record.exc_info:
            line["error"] = _traceback(self, record)
        return json.dumps(line, default=str)


class ConsoleFormatter(logging.Formatter):
    """One line for people: time, level, message, and in brackets what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        about = " ".join(str(fields[name]) for name in ("release", "component", "activity") if fields.get(name))
        line = f"{_time(record)} {record.levelname.lower():<7} {redact(record.getMessage())}"
        if about:
            line += f"  [{about}]"
        return f"{line}\n{_traceback(self, record)}" if record.exc_info else line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = formatter.formatException(record.exc_info) if record.exc_info else ""
    return "\n".join(map(redact, text.splitlines()))
