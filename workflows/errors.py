"""The errors Headgate raises itself, sorted once into what may pass and what will not.

::

    HeadgateError
    ├── SpecError                 a document is wrong; carries every problem with its path
    │   ├── PolicyRefused         the document is right and policy does not allow it
    │   └── PreflightFailed       the document is right and something that it needs is not there
    ├── PlanRefused               the documents are right but nothing safe can be planned from them
    └── ProviderError             something outside did not do what was asked
        ├── TemporaryError        worth trying again, after `retry_after` seconds when given
        │   ├── Unavailable       no answer, or an answer of the kind "not now"
        │   ├── RateLimited       asked too often
        │   ├── Conflict          somebody else wrote at the same time
        │   └── NotReady          the wish is written, the world has not followed yet
        └── PermanentError        trying again cannot help
            ├── NotFound          the object does not exist
            ├── Denied            we may not do this
            ├── Rejected          the other side understood and refused
            ├── Unsupported       this provider cannot express what was asked
            ├── ForeignChange     somebody else changed a field that this release wrote
            ├── Fenced            another run owns the target now; stop and undo nothing
            └── Held              another run's mark is on the target; it must end or be settled first

A "no" is a value, not an error: a failed verdict or a denied approval is a result. Library exceptions become these
where they are born; `activities/boundary.py` is the only place where these become Temporal's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class HeadgateError(Exception):
    """Anything Headgate itself reports."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a document: where, what, and what is allowed."""

    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.path or 'document'}: {self.message}"


class SpecError(HeadgateError):
    """A document cannot be used; `problems` lists everything wrong with it at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class PolicyRefused(SpecError):
    """A right document asks for what policy does not allow; `problems` lists everything at once."""


class PreflightFailed(SpecError):
    """A right document needs what is not there, or not as it must be; `problems` lists everything at once."""


class PlanRefused(HeadgateError):
    """No plan exists that keeps users served and every minute guarded; the message says what to change."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ProviderError(HeadgateError):
    """A provider could not do `operation`; the message names the object and the next step, never a secret."""

    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, provider: str = "", operation: str = "") -> None:
        super().__init__(message)
        self.provider = provider
        self.operation = operation


class TemporaryError(ProviderError):
    """The same call may succeed later, after `retry_after` seconds when the other side said so."""

    def __init__(
        self, message: str, *, provider: str = "", operation: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, provider=provider, operation=operation)
        self.retry_after = retry_after


class Unavailable(TemporaryError):
    """No answer, or one that says "not now"."""


class RateLimited(TemporaryError):
    """The other side asks for fewer calls."""


class Conflict(TemporaryError):
    """Somebody else wrote the object between our read and our write."""


class NotReady(TemporaryError):
    """The wish is written and the world has not followed yet."""


class PermanentError(ProviderError):
    """The same call can never succeed."""

    retryable = False


class NotFound(PermanentError):
    """The object does not exist."""


class Denied(PermanentError):
    """We may not do this."""


class Rejected(PermanentError):
    """The other side understood and refused."""


class Unsupported(PermanentError):
    """The provider cannot express what was asked."""


class ForeignChange(PermanentError):
    """Somebody else changed what this release wrote: the message says what was written and what is there."""

    def __init__(self, message: str, *, field: str = "", provider: str = "", operation: str = "") -> None:
        super().__init__(f"{message}; somebody else changed it", provider=provider, operation=operation)
        self.field = field
        """The object and its field, the same for every change of it."""


class Fenced(PermanentError):
    """The target's fence names another owner or a later epoch: whoever asks has been superseded."""


class Held(PermanentError):
    """The target carries the mark of a run that is not ours; the message names it."""
