"""What a command says when it cannot do what was asked, each with the exit code of its kind.

::

    CommandError            1  the release refused, or something unforeseen
    ├── BadInput            2  a document, an option or a name is wrong
    ├── Unreachable         5  no server, no worker, or no answer in time
    └── AnotherRelease      6  a different document is running under this name

Exit codes come from `workflows.model.status.EXIT_CODES`; docs/reference/exit-codes.md is their page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from workflows.errors import HeadgateError, Problem


class CommandError(HeadgateError):
    """A command ends without having done its work; the message says what failed and what to do next."""

    outcome: ClassVar[str] = "Failed"
    """The key of EXIT_CODES."""

    def __init__(self, message: str, *, reason: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.reason = reason or self.outcome
        self.problems = tuple(problems)

    @property
    def exit_code(self) -> int:
        """What the process exits with."""
        from workflows.model.status import EXIT_CODES

        return EXIT_CODES[self.outcome]

    def to_json(self) -> dict[str, Any]:
        """The stable shape that `-o json` prints on standard output."""
        problems = [{"path": p.path, "line": p.line, "message": p.message} for p in self.problems]
        return {"error": {"reason": self.reason, "message": str(self), "problems": problems}}


class BadInput(CommandError):
    """A document, an option or a name is wrong."""

    outcome = "BadSpec"


class Unreachable(CommandError):
    """The Temporal server or a worker gave no answer in time."""

    outcome = "Unreachable"


class AnotherRelease(CommandError):
    """A different document is running under the same environment and name."""

    outcome = "AnotherRelease"
