"""What people say to a release: read, judged, queued.

Update validators raise a sentence; signals cannot, so what they say wrongly is kept as a refusal that `status` shows.
Handlers only enqueue: ten handlers that wait would block `abort` at the server's limit.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from temporalio.exceptions import ApplicationError

from workflows.model.messages import AbandonUndo, Abort, Advance, Resume, Said, Steer, Voice

SHAPES: dict[str, type[Said]] = {
    "approve": Voice,
    "reject": Voice,
    "pause": Steer,
    "resume": Resume,
    "advance": Advance,
    "abort": Abort,
    "abandonUndo": AbandonUndo,
}
"""Payload of each message."""


class Refused(ApplicationError):
    """A message that cannot be taken; update senders get it, signal senders find it in `status.refused`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="Refused", non_retryable=True)


def read(name: str, payload: Any, first_run_id: str) -> Said:
    """The message in its shape, for this run. Errors: Refused, with everything that is wrong."""
    if not isinstance(payload, dict):
        fields = ", ".join(field.alias or key for key, field in SHAPES[name].model_fields.items())
        message = f"{name} takes one JSON object with {fields}; got {type(payload).__name__}"
        raise Refused(message)
    if not payload.get("firstRunId"):
        message = f"{name} must name the release by firstRunId; the one running here is {first_run_id}"
        raise Refused(message)
    try:
        said = SHAPES[name].model_validate(payload)
    except ValidationError as error:
        message = f"{name}: {wrong_in(error)}"
        raise Refused(message) from None
    if said.first_run_id != first_run_id:
        message = (
            f"{name} is meant for another run; the release running here is {first_run_id}: look at its status first"
        )
        raise Refused(message)
    return said


def wrong_in(error: ValidationError) -> str:
    """Where a message is not as it must be, in a sentence of bearable length."""
    found = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()[:10]]
    return "; ".join(": ".join(filter(None, one)) for one in found)[:1000]
