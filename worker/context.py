"""Who is at work: the release, run and component behind an activity or workflow, for every log line written meanwhile.

An activity knows its workflow but not that workflow's parent, so the outbound side sends the release's id along as a
header.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from temporalio import activity, workflow
from temporalio.converter import PayloadConverter
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

HEADER = "headgate-release"

_converter = PayloadConverter.default
_fields: ContextVar[dict[str, Any] | None] = ContextVar("headgate_log_fields", default=None)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What is known of the work that wrote a record: release, run, component, activity and the like."""
    known = dict(_fields.get() or {})
    if isinstance(info := getattr(record, "workflow_info", None), workflow.Info):
        known |= _workflow_fields(info)
    for name in ("release", "run", "component"):
        if (value := getattr(record, name, None)) is not None:
            known[name] = value
    return known


class ContextInterceptor(Interceptor):
    """Keeps the fields of each activity while it runs, its threads included."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 (SDK's name)
        return _Activities(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002
    ) -> type[WorkflowInboundInterceptor]:
        return _Workflows


class _Activities(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        token = _fields.set(_activity_fields(activity.info(), input))
        try:
            return await super().execute_activity(input)
        finally:
            _fields.reset(token)


class _Workflows(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        release = _release_of(workflow.info())
        input.headers = {**input.headers, HEADER: _converter.to_payload(release)}
        return super().start_activity(input)


def _activity_fields(info: activity.Info, call: ExecuteActivityInput) -> dict[str, Any]:
    header = call.headers.get(HEADER)
    fields = {
        "release": _converter.from_payload(header) if header else info.workflow_id,
        "run": info.workflow_run_id,
        "workflow": info.workflow_id,
        "activity": info.activity_type,
        "attempt": info.attempt,
    }
    target = getattr(call.args[0], "target", call.args[0]) if call.args else None
    if component := getattr(target, "component", None):
        fields["component"] = component
    return fields


def _workflow_fields(info: workflow.Info) -> dict[str, Any]:
    return {"release": _release_of(info), "run": info.run_id, "workflow": info.workflow_id}


def _release_of(info: workflow.Info) -> str:
    return info.parent.workflow_id if info.parent else info.workflow_id
