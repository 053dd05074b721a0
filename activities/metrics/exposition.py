"""Prometheus text, parsed by the library of the format, and only as far as somebody asks for it.

An application's page has thousands of lines of which a release needs ten; so lines are first sorted by name, which
costs next to nothing, and a name is parsed at its first use.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
        self._lines_by_label: dict[tuple[str, str], dict[str, list[str]]] = {}
        self._labelled: dict[tuple[str, str, str], list[Sample]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is not a single series."""
        return not self._lines

    def samples(self, name: str) -> list[Sample]:
        """All series of one name. Errors: ValueError when their lines are no Prometheus text."""
        if name not in self._samples:
            self._samples[name] = _parsed(self._lines.get(name, []))
        return self._samples[name]

    def labelled(self, name: str, label: str, value: str) -> list[Sample]:
        """Series of one name with a plain label value; those of that name with another value are not parsed.

        Errors: as `samples`.
        """
        key = (name, label, value)
        if key not in self._labelled:
            index = self._index(name, label)
            found = _parsed([*index.get(value, []), *index.get("", [])])
            self._labelled[key] = [sample for sample in found if sample.labels.get(label) == value]
        return self._labelled[key]

    def value(self, name: str) -> float | None:
        """The value of a name that has one series."""
        samples = self.samples(name)
        return samples[0].value if samples else None

    def _index(self, name: str, label: str) -> dict[str, list[str]]:
        index = self._lines_by_label.get((name, label))
        if index is None:
            index = self._lines_by_label[name, label] = defaultdict(list)
            for line in self._lines.get(name, []):
                index[line.partition(f'{label}="')[2].partition('"')[0]].append(line)
        return index


def _parsed(lines: Sequence[str]) -> list[Sample]:
    families = text_string_to_metric_families("\n".join(lines) + "\n")
    return [Sample(sample.labels, sample.value) for family in families for sample in family.samples]


def _name(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]


def series_id(name: str, labels: Mapping[str, str]) -> str:
    """A short name for a series, because the last counters travel in heartbeats; `le` is not part of it."""
    return _digest(name, tuple(sorted(item for item in labels.items() if item[0] != "le")))


@lru_cache(maxsize=20_000)
def _digest(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    return blake2s(repr((name, labels)).encode(), digest_size=5).hexdigest()
