"""States to JSON and back: small enough to travel with every heartbeat; read, whoever wrote them, or taken for none."""

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
    """The state as it travels: plain JSON without defaults, its numbers cut to `DIGITS`.

    That happens after every tick, whether or not the state travels, so a restart changes nothing.
    """
    cut: dict[str, Any] = _cut(state.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    return cut


DIGITS = 8
"""Significant ones of every number: a thousand ticks change the evidence by less than one part in a hundred thousand,
and a state takes half the room."""


def _cut(data: Any) -> Any:
    if isinstance(data, float):
        return _number(data)
    if isinstance(data, dict):
        return {name: _cut(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_cut(value) for value in data]
    return data


def _number(value: float) -> float | int:
    """Counts stay exact, and whole: 9000 takes less room than 9000.0."""
    return int(value) if value.is_integer() and abs(value) < _EXACT else float(f"{value:.{DIGITS}g}")


_EXACT = 2.0**53
