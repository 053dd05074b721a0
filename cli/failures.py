"""Temporal's answers turned into ours: server errors into sentences, workflow failures into endings.

The only place of the command line that knows Temporal's error classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from temporalio.client import (
    RPCTimeoutOrCancelledError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.exceptions import TimeoutError as TimedOutError
from temporalio.service import RPCError, RPCStatusCode

from cli.errors import BadInput, CommandError, Unreachable
from cli.snapshot import Ending
from workflows.errors import Problem
from workflows.model.status import ReleaseResult

_DENIED = {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED}
_OUTCOMES = {
    "RolledBack",
    "Aborted",
    "Rejected",
    "Failed",
    "BadSpec",
    "PolicyRefused",
    "PlanRefused",
    "PreflightFailed",
}
_AWAY = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}


def is_missing(error: RPCError) -> bool:
    """Whether the workflow (not the namespace) does not exist."""
    return error.status == RPCStatusCode.NOT_FOUND and "amespace" not in str(error)


def is_closed(error: RPCError) -> bool:
    """Whether the workflow exists but has ended."""
    return error.status == RPCStatusCode.NOT_FOUND and "already completed" in str(error)


@contextmanager
def translated(what: str, *, named: str = "") -> Iterator[None]:
    """Raises what Temporal answers as a CommandError that starts with `what`, such as "Cannot abort prod/x".

    A release begins its refusals with the message's name, which `what` says already: `named` is left out.
    """
    try:
        yield
    except (WorkflowUpdateFailedError, WorkflowQueryFailedError) as error:
        raise CommandError(f"{what}: {sentence(error).removeprefix(f'{named}: ')}", reason="Refused") from error
    except (RPCTimeoutOrCancelledError, WorkflowQueryRejectedError) as error:
        raise Unreachable(f"{what}: no worker answered in time.", reason="NoWorker") from error
    except RPCError as error:
        raise _server_said(what, error) from error


def _server_said(what: str, error: RPCError) -> CommandError:
    text = str(error).strip()[:500]
    if is_closed(error):
        return CommandError(f"{what}: it has ended already.", reason="Ended")
    if is_missing(error):
        return BadInput(
            f"{what}: there is no such release. `headgate list --all` shows those there are.", reason="NotFound"
        )
    if error.status == RPCStatusCode.NOT_FOUND:
        return BadInput(f"{what}: {text} Check --namespace or TEMPORAL_NAMESPACE.", reason="NoNamespace")
    if error.status in _DENIED:
        return Unreachable(f"{what}: the Temporal server does not allow it ({text}).", reason="Denied")
    if error.status in _AWAY:
        return Unreachable(f"{what}: the Temporal server gave no answer ({text}).")
    return CommandError(f"{what}: the Temporal server says: {text}", reason="ServerError")


def sentence(error: BaseException) -> str:
    """The innermost thing that was said: an ApplicationError's message rather than "Workflow update failed"."""
    while isinstance(cause := getattr(error, "cause", None) or error.__cause__, BaseException):
        error = cause
    return getattr(error, "message", "") or str(error)


def ending_of(failure: WorkflowFailureError) -> Ending:
    """How a release ended that did not succeed."""
    cause = failure.cause
    if isinstance(cause, ApplicationError):
        return _application_ending(cause)
    if isinstance(cause, CancelledError):
        return Ending("Cancelled", message="It was cancelled; what it had changed was undone first.")
    if isinstance(cause, TerminatedError):
        return Ending(
            "Terminated",
            message=f"It was terminated{_because(cause)}: no undo ran in it. The janitor settles its targets.",
        )
    if isinstance(cause, TimedOutError):
        return Ending("TimedOut", message="Temporal timed it out: no undo ran in it. The janitor settles its targets.")
    return Ending("Failed", message=sentence(failure))


def _because(error: BaseException) -> str:
    said = str(error).strip()
    return f" ({said})" if said and said != "Workflow execution terminated" else ""


def _application_ending(error: ApplicationError) -> Ending:
    kind = error.type or "Failed"
    outcome = kind if kind in _OUTCOMES else "Failed"
    result = _result_in(error.details)
    return Ending(
        outcome,
        reason=(result.reason if result else "") or kind,
        message=(result.message if result else "") or error.message,
        result=result,
        problems=_problems_in(error.details),
    )


def _result_in(details: Sequence[Any]) -> ReleaseResult | None:
    for detail in details:
        if isinstance(detail, dict) and "outcome" in detail:
            try:
                return ReleaseResult.model_validate(detail)
            except ValidationError:  # Written by a version that we don't know; the failure's message remains.
                return None
    return None


def _problems_in(details: Sequence[Any]) -> tuple[Problem, ...]:
    listed = details[0] if len(details) == 1 and isinstance(details[0], list) else details
    return tuple(
        Problem(str(item.get("path", "")), str(item["message"]))
        for item in listed
        if isinstance(item, dict) and "message" in item and "outcome" not in item
    )
