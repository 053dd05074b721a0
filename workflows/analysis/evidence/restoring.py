"""States from JSON: whoever wrote them, they are read or they count as none."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.analysis.evidence.course import Course

S = TypeVar("S", bound=Course)


def state_of(kind: type[S], data: dict[str, Any]) -> S:
    """The state that was carried."""
    try:
        return kind.model_validate(data)
    except ValidationError:
        return kind()


def data_of(state: Course) -> dict[str, Any]:
    """The state as it travels: plain JSON without defaults."""
    return state.model_dump(mode="json", by_alias=True, exclude_defaults=True)
