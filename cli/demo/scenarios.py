"""What the demo can show: each scenario is a file in `examples/` and how it has to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cli.demo.programs import DemoError
from cli.demo.traffic import Request
from cli.errors import BadInput
from workflows.model.status import Outcome

if TYPE_CHECKING:
    from workflows.model.release import Release

SLOW = 400
"""Milliseconds from which an answer counts as slow; the slow version adds 800."""


@dataclass(frozen=True)
class Scenario:
    """One release, and what is expected of it."""

    name: str
    shows: str
    outcome: Outcome = "Succeeded"
    fault: Callable[[Request], bool] | None = None
    """Whether an answer shows the fault that the version has."""
    maintenance: bool = False
    """Whether users get the maintenance answer for a while."""
    approvers: tuple[str, ...] = ()
    """People who agree when they are asked."""

    @property
    def file(self) -> Path:
        """Its document."""
        return examples() / self.name / "release.yaml"

    def read(self) -> Release:
        """The document. Errors: SpecError when somebody edited it badly."""
        from cli.reading import read_release

        return read_release(self.file)


def is_error(request: Request) -> bool:
    """The service itself answered with an error."""
    return request.kind == "failed" and request.version != "-"


def is_slow(request: Request) -> bool:
    """The service answered late."""
    return request.kind == "ok" and request.milliseconds > SLOW


FIRST = Scenario("first", "the first version, which the others replace")
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("canary-good", "a good version reaches everybody in stages"),
        Scenario("canary-bad", "a version with 5 % errors is caught while few users meet it", "RolledBack", is_error),
        Scenario("canary-slow", "a version that answers 800 ms later is caught", "RolledBack", is_slow),
        Scenario("blue-green-bad", "a switch to a version with 5 % errors is taken back", "RolledBack", is_error),
        Scenario("rolling", "instances are replaced in place, and nobody notices"),
        Scenario("recreate", "the old version stops first; users get the maintenance answer", maintenance=True),
        Scenario("approval", "two people are asked in the middle", approvers=("ann@example.com", "bob@example.com")),
    )
}
DEFAULT = ("canary-good", "canary-bad")


def chosen(names: list[str]) -> list[Scenario]:
    """The scenarios to play. Errors: BadInput for a name that is none."""
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise BadInput(
            f"There is no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}.", reason="BadName"
        )
    return [SCENARIOS[name] for name in names or DEFAULT]


@cache
def examples() -> Path:
    """The directory of the examples, which the package has by a link where it is not installed from a wheel."""
    place = (Path(__file__).parent / "examples").resolve()
    if not (place / "settings.yaml").is_file():
        raise DemoError(f"there are no examples in {place}; install Headgate again")
    return place
