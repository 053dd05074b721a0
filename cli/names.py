"""How people address releases: ENV/NAME, and who they are."""

from __future__ import annotations

import getpass
import re
import socket
from dataclasses import dataclass, replace

from cli.errors import BadInput

_KINDS = ("release", "rollback")


@dataclass(frozen=True)
class Ref:
    """The address of a release (or of a rollback), whichever of its runs is the current one."""

    environment: str
    name: str
    kind: str = "release"

    @classmethod
    def parse(cls, text: str, *, rollback: bool = False) -> Ref:
        """Reads ENV/NAME, or the workflow id that the Temporal UI shows. Errors: BadInput."""
        from workflows.model.shapes import NAME_PATTERN

        kind, _, address = text.partition("/")
        if kind not in _KINDS or "/" not in address:
            kind, address = "rollback" if rollback else "release", text
        parts = address.split("/")
        if len(parts) != 2 or not all(re.match(NAME_PATTERN, part) for part in parts):
            raise BadInput(
                f"{text!r} does not name a release; write ENV/NAME in lower case, such as production/trip-service",
                reason="BadName",
            )
        return cls(parts[0], parts[1], kind)

    @classmethod
    def of(cls, environment: str, name: str) -> Ref:
        """From its parts, each of which an option gives. Errors: BadInput, naming the one that is wrong."""
        return cls(_part(environment, "an environment", "--environment"), _part(name, "a release", "--name"))

    @property
    def workflow_id(self) -> str:
        """The id of its workflow."""
        return f"{self.kind}/{self}"

    @property
    def rollback(self) -> Ref:
        """The rollback of the same name."""
        return replace(self, kind="rollback")

    @property
    def flags(self) -> str:
        """What a command needs behind ENV/NAME to mean this."""
        return " --rollback" if self.kind == "rollback" else ""

    def __str__(self) -> str:
        return f"{self.environment}/{self.name}"


def _part(text: str, what: str, option: str) -> str:
    from workflows.model.shapes import NAME_PATTERN

    if re.match(NAME_PATTERN, text):
        return text
    raise BadInput(
        f"{text!r} cannot be the name of {what}: only lower-case letters, digits and dashes, no dash at either end, "
        f"at most 63; give another with {option}",
        reason="BadName",
    )


def whoami() -> str:
    """user@host, which nobody verified."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user often has no name.
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:200]
