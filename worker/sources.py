"""Where settings come from: one YAML file and `HEADGATE_*` variables, merged before anything is validated.

A variable names a field by its path: `HEADGATE_SLOTS__WORKFLOW_TASKS` is `slots.workflowTasks`. Values are text, or
JSON where they start with `{` or `[`; an empty one counts as not given, because that is how templates leave a variable
out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from workflows.errors import Problem, SpecError

PREFIX = "HEADGATE_"
FILE_VARIABLE = "HEADGATE_SETTINGS"

_NOT_SETTINGS = frozenset({FILE_VARIABLE, "HEADGATE_TEMPORAL_CLI", "HEADGATE_ENVOY", "HEADGATE_TEST_SERVER"})
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?$")
"""What Kubernetes sets in every pod for a Service whose name starts with `headgate`."""


class Variables(PydanticBaseSettingsSource):
    """The `HEADGATE_*` variables of an environment as nested camelCase fields."""

    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Not used: the variables name the fields, not the other way round."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every setting that a variable gives. Errors: SpecError, naming the variables that are none."""
        known = {name.upper() for name in self.settings_cls.model_fields}
        values: dict[str, Any] = {}
        problems = []
        for variable, text in sorted(self._environ.items()):
            if not variable.startswith(PREFIX) or variable in _NOT_SETTINGS or not text:
                continue
            first, *rest = variable.removeprefix(PREFIX).split("__")
            if first in known:
                _put(values, [first, *rest], _value(variable, text))
            elif not _SERVICE_LINK.search(variable):
                problems.append(Problem(variable, f"no setting has this name{_meant(first, known)}"))
        if problems:
            raise SpecError(problems)
        return values


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of fields as plain data. Errors: SpecError with the line."""
    try:
        data = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise SpecError([Problem(str(path), f"cannot be read: {error.strerror}")]) from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise SpecError([Problem(str(path), f"is not YAML: {error.problem}", line)]) from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise SpecError([Problem(str(path), f"is not YAML: {error}")]) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SpecError([Problem(str(path), "holds no fields; write one `name: value` a line")])
    return data


def _put(values: dict[str, Any], parts: list[str], value: Any) -> None:
    *path, last = (to_camel(part.lower()) for part in parts)
    for part in path:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = values[part] = {}
        values = inner
    values[last] = value


def _value(variable: str, text: str) -> Any:
    if text == "null":
        return None
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise SpecError([Problem(variable, f"starts like JSON and is none: {error}")]) from error


def _meant(word: str, known: set[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {PREFIX}{close[0]}?" if close else ""
