"""Which kinds a family knows, and how each is made.

There is no default: a kind that nobody registered is refused with the names of those that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from workflows.errors import Unsupported

P = TypeVar("P")

Factory = Callable[[], P]


class Registry(Generic[P]):
    """The members of one family by kind; each is made at its first use and kept.

    A third party adds a kind through the entry point group `headgate.<family>`: the entry's name is the kind, its
    object a factory without arguments. It cannot replace a kind that is built in.
    """

    def __init__(self, family: str, factories: Mapping[str, Factory[P]]) -> None:
        self._family = family
        self._factories: dict[str, Factory[P]] = dict(factories)
        self._made: dict[str, P] = {}
        for entry in entry_points(group=f"headgate.{family}"):
            self._factories.setdefault(entry.name, partial(_load, entry))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind that can be asked for."""
        return tuple(sorted(self._factories))

    def get(self, kind: str) -> P:
        """The member for a kind. Errors: Unsupported, naming the kinds there are."""
        if kind not in self._made:
            if kind not in self._factories:
                raise Unsupported(
                    f"this worker has no {self._family} provider of kind {kind!r}; it has {', '.join(self.kinds)}",
                    provider=kind,
                )
            self._made[kind] = self._factories[kind]()
        return self._made[kind]

    def __iter__(self) -> Iterator[P]:
        return (self.get(kind) for kind in self.kinds)


def _load(entry: EntryPoint) -> Any:
    return entry.load()()
