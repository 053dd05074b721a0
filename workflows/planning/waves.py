"""Which components wait for which: waves of those that may move together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def waves(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The wave of each name, 0 first; a name comes one wave after the last it needs. There is no cycle."""
    found: dict[str, int] = {}

    def wave(name: str) -> int:
        if name not in found:
            found[name] = 1 + max((wave(need) for need in needs[name] if need in needs), default=-1)
        return found[name]

    for name in needs:
        wave(name)
    return found
