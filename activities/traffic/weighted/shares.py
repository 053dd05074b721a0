"""How the backends of one list share its requests: arithmetic alone, no objects and no cluster.

Data planes take whole numbers, and a list may hold other people's backends too. Theirs keep their proportions: where a
percentage of ours needs finer numbers, every weight of the list grows by the same factor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from workflows.model.target import Backend

BACKENDS: tuple[Backend, ...] = ("stable", "canary", "maintenance")
_FACTORS = (1, 10, 100, 1000, 10_000)

Effective = Callable[[Sequence[int | None]], list[int]]
"""What the weights of a list mean to its data plane, those that are not written included."""

Services = Mapping[Backend, str]
"""The Service behind each backend of a component."""


class Ref(NamedTuple):
    """One entry of a list of backends."""

    service: str
    """The Service in the target's namespace; empty for anything else, which is never ours."""
    rest: str
    """What else tells entries apart, such as the port."""
    weight: int | None
    """As it is written."""
    is_apart: bool = False
    """Whether it takes no share of the requests, such as a mirror."""

    @property
    def key(self) -> tuple[str, str]:
        """Who it is, whatever its weight."""
        return self.service, self.rest


def percents(refs: Sequence[Ref], services: Services, effective: Effective) -> dict[Backend, float]:
    """How a list divides what it sends to the component; empty when it sends nothing there."""
    names = {service: backend for backend, service in services.items()}
    refs = [ref for ref in refs if not ref.is_apart]
    ours: dict[Backend, int] = {}
    for ref, weight in zip(refs, effective([ref.weight for ref in refs]), strict=True):
        if weight and (backend := names.get(ref.service)):
            ours[backend] = ours.get(backend, 0) + weight
    total = sum(ours.values())
    return {backend: round(100 * weight / total, 2) for backend, weight in ours.items()}


def divided(
    before: Sequence[Ref], services: Services, weights: Mapping[Backend, float], *, effective: Effective, limit: int
) -> dict[tuple[str, str], int]:
    """The weight of every entry once the component's share of a list is divided like this; zero for what is unused.

    The canary's share is rounded down where even the largest weights cannot express it.
    """
    places, others = _places(before, services, effective)
    if len(places) == 1 and not others:
        places = dict.fromkeys(places, 100)  # Nobody to keep proportions with, so the numbers are percent.
    parts = {backend: round(weights.get(backend, 0) * 100) for backend in BACKENDS}
    factor = _factor(places.values(), others.values(), parts.values(), limit)
    result = {key: weight * factor for key, weight in others.items()}
    for (_, rest), weight in places.items():
        for backend, part in _split(weight * factor, parts).items():
            result[services[backend], rest] = part
    return result


def _places(
    before: Sequence[Ref], services: Services, effective: Effective
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """What each reference to the stable Service had, with other backends of ours at the first; and all the others."""
    places: dict[tuple[str, str], int] = {}
    others: dict[tuple[str, str], int] = {}
    beside, before = 0, [ref for ref in before if not ref.is_apart]
    for ref, weight in zip(before, effective([ref.weight for ref in before]), strict=True):
        if ref.service == services["stable"]:
            places[ref.key] = places.get(ref.key, 0) + weight
        elif ref.service in services.values():
            beside += weight
        else:
            others[ref.key] = others.get(ref.key, 0) + weight
    if places:
        first = next(iter(places))
        places[first] += beside
    return places, others


def _factor(ours: Collection[int], others: Collection[int], parts: Collection[int], limit: int) -> int:
    """The smallest factor with which every part is a whole number, or the largest that fits."""
    largest = max([1, *ours, *others])
    fitting = [factor for factor in _FACTORS if largest * factor <= limit] or [1]
    exact = (f for f in fitting if all(weight * f * part % 10_000 == 0 for weight in ours for part in parts))
    return next(exact, fitting[-1])


def _split(weight: int, parts: Mapping[Backend, int]) -> dict[Backend, int]:
    split = {backend: weight * part // 10_000 for backend, part in parts.items()}
    if rest := (weight - sum(split.values()) if any(parts.values()) else 0):
        split[max(parts, key=lambda backend: (backend == "stable" and parts[backend] > 0, parts[backend]))] += rest
    return split
