"""From a template to a command line.

Only programs of the settings run, and nothing in a release can make them another program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from activities.clusters.local.settings import ProcessSettings, Program
from workflows.errors import Rejected
from workflows.model.target import Template

_OURS = re.compile(r"^(PATH|PORT|VERSION|HEADGATE_.*|LD_.*|PYTHON.*)$")


class Recipe(BaseModel):
    """The body of a process template."""

    program: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}


def recipe(settings: ProcessSettings, template: Template) -> Recipe:
    """Reads a template and refuses what these settings do not allow. Errors: Rejected."""
    try:
        found = Recipe.model_validate(template.body)
    except ValidationError as error:
        raise Rejected(f"version {template.version} is no process template: it needs at least a program") from error
    if found.program not in settings.programs:
        known = ", ".join(sorted(settings.programs)) or "none"
        raise Rejected(f"program {found.program!r} is not in this worker's settings; allowed are: {known}")
    if taken := sorted(name for name in found.env if _OURS.match(name)):
        raise Rejected(f"version {template.version} may not set {', '.join(taken)}: the worker decides on these")
    return found


def command(program: Program, wanted: Recipe) -> tuple[str, ...]:
    """The command line."""
    return (*program.command, *wanted.args)


def environment(program: Program, wanted: Recipe, *, port: int, version: str) -> Mapping[str, str]:
    """The variables on top of the few that are inherited; the settings win over the release."""
    return {**wanted.env, **program.env, "PORT": str(port), "VERSION": version}
