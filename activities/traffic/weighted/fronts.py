"""The rules that lead requests with a header to the new version, each before the rule that it is a copy of; pure.

In front of all rules they would take requests from rules of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from activities.clusters.kubernetes.patch import Operation, Path, drop, put, test
from activities.traffic.weighted.shapes import Rule

Front = tuple[Path, Rule]
"""Where such a rule is, or the rule that it shall come before; and itself."""


def moved(there: Sequence[Front], wanted: Sequence[Front]) -> list[Operation]:
    """Takes those that are there away and puts each of the others directly before its rule."""
    if [rule for _, rule in there] == [rule for _, rule in wanted]:
        return []
    gone = [operation for path, rule in reversed(there) for operation in (test(path, rule), drop(path))]
    paths = [path for path, _ in there]
    return [*gone, *(put(_without(paths, path), rule) for path, rule in reversed(wanted))]


def _without(gone: Iterable[Path], path: Path) -> Path:
    """Where an item of a list is once others of the list have gone."""
    *way, index = path
    before = sum(int(other[-1]) < int(index) for other in gone if [*other[:-1]] == way)
    return (*way, int(index) - before)
