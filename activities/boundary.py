"""The only place where our errors become Temporal's.

An activity is named and typed by its contract under `workflows/contracts`; the class that implements it is plain
Python and knows nothing of Temporal's decorators, because an override would not inherit them. `implement` joins the
two.

Temporal keeps the message of every error, and of every error it was raised from, in the history: so causes stay in the
worker's log, and messages are cut and freed of what looks like a credential.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, get_type_hints

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities import beats
from workflows.errors import (
    Conflict,
    ForeignChange,
    HeadgateError,
    NotReady,
    PermanentError,
    PlanRefused,
    ProviderError,
    SpecError,
    TemporaryError,
)

logger = logging.getLogger(__name__)

MESSAGE_LIMIT = 1000
"""Characters of a message that reach the history."""

_NEVER_AGAIN = (PermanentError, SpecError, PlanRefused)
_EXPECTED = (NotReady, Conflict)
_SECRETS = (
    (re.compile(r"://[^/\s@]+@"), "://***@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 ***"),
    (re.compile(r"(?i)(token|secret|passwo?r?d|api[-_]?key)([\w-]{0,99}\"?\s{0,9}[=:]\s*\"?)[^\s\"',;&]+"), r"\1\2***"),
)

_DEFINITION = "__temporal_activity_definition"
"""Where `activity.defn` leaves what it was told; Temporal offers no public way to read it."""

Activity = Callable[..., Awaitable[Any]]


def implement(contract: type, instance: object) -> list[Activity]:
    """Every activity of a contract, carried out by an instance, ready for `Worker(activities=...)`.

    Raises TypeError when the instance lacks a method of the contract, or has a public coroutine that the contract
    does not know: a misspelt name would otherwise only show when a release calls it.
    """
    declared = _definitions(contract)
    implemented = {
        name: method
        for name, method in inspect.getmembers(instance, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    missing = sorted(
        name
        for name in declared
        if name not in implemented or getattr(implemented[name], "__isabstractmethod__", False)
    )
    extra = sorted(implemented.keys() - declared.keys())
    if missing or extra:
        raise TypeError(
            f"{type(instance).__name__} does not implement {contract.__name__}:"
            f" missing {', '.join(missing) or 'nothing'}, not in the contract {', '.join(extra) or 'nothing'}"
        )
    return [_bind(function, implemented[name]) for name, function in declared.items()]


def translate(error: Exception, *, operation: str = "") -> ApplicationError:
    """An error as Temporal understands it: its type is our class name, and it says whether trying again can help."""
    if isinstance(error, ApplicationError):
        return error
    if not isinstance(error, HeadgateError):
        return ApplicationError(
            redact(f"{operation} failed unexpectedly: {type(error).__name__}: {error}"), type=type(error).__name__
        )
    delay = error.retry_after if isinstance(error, TemporaryError) else None
    return ApplicationError(
        redact(str(error)),
        _details(error),
        type=type(error).__name__,
        non_retryable=isinstance(error, _NEVER_AGAIN),
        next_retry_delay=None if delay is None else timedelta(seconds=delay),
        category=ApplicationErrorCategory.BENIGN
        if isinstance(error, _EXPECTED)
        else ApplicationErrorCategory.UNSPECIFIED,
    )


def redact(message: str) -> str:
    """A message without anything that looks like a credential, cut to what a person reads."""
    message = without_secrets(message[: 4 * MESSAGE_LIMIT])
    return message if len(message) <= MESSAGE_LIMIT else f"{message[: MESSAGE_LIMIT - 1]}…"


def without_secrets(text: str) -> str:
    """A text without anything that looks like a credential."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _definitions(contract: type) -> dict[str, Callable[..., Any]]:
    return {
        name: function
        for name, function in inspect.getmembers(contract, inspect.isfunction)
        if _DEFINITION in vars(function)
    }


def _bind(declared: Callable[..., Any], method: Activity) -> Activity:
    name: str = vars(declared)[_DEFINITION].name

    async def run(*arguments: Any) -> Any:
        beats.begin()
        try:
            return await method(*arguments)
        except Exception as error:
            if not isinstance(error, (HeadgateError, ApplicationError)):
                logger.exception("unexpected error in activity %s", name)
            raise translate(error, operation=name) from None

    signature = inspect.signature(declared)
    vars(run)["__signature__"] = signature.replace(parameters=list(signature.parameters.values())[1:])
    run.__annotations__ = get_type_hints(declared)
    run.__name__ = run.__qualname__ = declared.__name__
    run.__doc__ = declared.__doc__
    return activity.defn(name=name)(run)


def _details(error: HeadgateError) -> dict[str, Any]:
    match error:
        case SpecError():
            return {"problems": [vars(problem) for problem in error.problems]}
        case PlanRefused():
            return {"reason": error.reason}
        case ForeignChange():
            return {"field": error.field}
        case ProviderError():
            return {"provider": error.provider, "operation": error.operation}
        case _:
            return {}
