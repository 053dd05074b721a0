"""Prometheus text, parsed by the library of the format, and only as far as somebody asks for it.

An application's page has thousands of lines of which a release needs ten; so lines are first sorted by name, which
costs next to nothing, and a name is parsed at its first use.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2s
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

_EXEMPLAR = " # {"
"""OpenMetrics puts exemplars behind a value; the plain format has none."""


class Sample(NamedTuple):
    """One series' value."""

    labels: Mapping[str, str]
    value: float


class Exposition:
    """One answer of a metrics endpoint."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, list[str]] = defaultdict(list)
        for line in text.split("\n"):
            if line and line[0] != "#":
                self._lines[_name(line)].append(line.partition(_EXEMPLAR)[0])
        self._samples: dict[str, list[Sample]] = {}
        self._grouped: dict[tuple[str, str], dict[str, list[Sample]]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is not a single series."""
        return not self._lines

    def samples(self, name: str) -> list[Sample]:
        """All series of one name. Errors: ValueError when their lines are no Prometheus text."""
        if name not in self._samples:
            text = "\n".join(self._lines.get(name, [])) + "\n"
            families = text_string_to_metric_families(text)
            self._samples[name] = [Sample(s.labels, s.value) for family in families for s in family.samples]
        return self._samples[name]

    def labelled(self, name: str, label: str, value: str) -> list[Sample]:
        """Series of one name with a label, found by an index: many observations ask one page."""
        index = self._grouped.get((name, label))
        if index is None:
            index = self._grouped[name, label] = defaultdict(list)
            for sample in self.samples(name):
                index[sample.labels.get(label, "")].append(sample)
        return index.get(value, [])

    def value(self, name: str) -> float | None:
        """The value of a name that has one series."""
        samples = self.samples(name)
        return samples[0].value if samples else None


def _name(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]


def series_id(name: str, labels: Mapping[str, str]) -> str:
    """A short name for a series, because the last counters travel in heartbeats; `le` is not part of it."""
    return _digest(name, tuple(sorted(item for item in labels.items() if item[0] != "le")))


@lru_cache(maxsize=20_000)
def _digest(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    return blake2s(repr((name, labels)).encode(), digest_size=5).hexdigest()
