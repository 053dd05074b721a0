"""What one scraped target said about one slot in a stretch of time, from its raw samples alone.

Only samples that were scraped are looked at, never Prometheus' idea of what a series is worth at a moment: that looks
five minutes back, and marks of vanished series arrive late, so it would depend on when one asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from activities.metrics.exposition import Sample
from activities.metrics.prometheus.promql import NAME
from activities.metrics.prometheus.server import Series
from activities.metrics.sources.series import is_own

TICKS = 3
"""Ticks that are read for one. Who was silent for longer is gone, or new when it comes back."""


class Span(NamedTuple):
    """One tick."""

    since: float
    until: float

    @property
    def reach(self) -> float:
        """Seconds that are read."""
        return TICKS * (self.until - self.since)

    def before(self, series: Series) -> float | None:
        """The value at the beginning."""
        return _last(series, after=self.until - self.reach, until=self.since)

    def end(self, series: Series) -> float | None:
        """The value at the end."""
        return _last(series, after=self.until - self.reach, until=self.until)

    def fresh(self, series: Series) -> float | None:
        """The value at the end, if it was scraped within."""
        return _last(series, after=self.since, until=self.until)


_NONE = Series({}, ())


@dataclass
class Instance:
    """One target in one slot."""

    job: str
    address: str
    pod: str = ""
    series: dict[str, dict[str, Series]] = field(default_factory=dict)
    """By name and labels: two questions may have found the same."""
    scrapes: Series = _NONE
    """Its `up`."""

    @property
    def name(self) -> str:
        """For sentences."""
        return self.pod or self.address or "the query"

    def add(self, name: str, series: Series) -> None:
        """Notes what was found."""
        labels = {label: value for label, value in series.labels.items() if label != NAME}
        self.series.setdefault(name, {})[repr(sorted(labels.items()))] = Series(labels, series.samples)

    def problem(self, span: Span) -> str:
        """Why it does not cover the span; empty when it does, and when it is gone."""
        if span.fresh(self.scrapes) == 0:
            return f"{self.name} could not be scraped"
        everything = [self.scrapes, *self._all()]
        if any(span.fresh(series) is not None for series in everything):
            return ""
        silent = span.until - max((series.samples[-1][0] for series in everything if series.samples), default=0.0)
        return f"{self.name} was not scraped for {silent:.0f} s, more than a tick"

    def is_there(self, span: Span) -> bool:
        """Whether anything was scraped in the ticks that are read."""
        return any(span.end(series) is not None for series in [self.scrapes, *self._all()])

    def is_known(self, span: Span) -> bool:
        """Whether it was scraped before the span: what it did not have then was born since."""
        return span.before(self.scrapes) == 1 or any(span.before(series) is not None for series in self._all())

    def before(self, span: Span, name: str) -> Iterator[Sample]:
        """The values at the beginning."""
        for series in self._named(name):
            if (value := span.before(series)) is not None:
                # An expression that falls may be a sum that a pod has left: that is no restart.
                most = span.end(series) if is_own(name) else None
                yield Sample(series.labels, value if most is None else min(value, most))

    def end(self, span: Span, name: str) -> Iterator[Sample]:
        """The values at the end; not those of series that took the place of others, whose age nobody knows."""
        replaced = any(span.fresh(each) is None and span.before(each) is not None for each in self._named(name))
        for series in self._named(name):
            is_born = span.before(series) is None
            if (value := span.end(series)) is not None and not (is_born and replaced):
                yield Sample(series.labels, value)

    def fresh(self, span: Span, name: str) -> Iterator[Sample]:
        """The values that were scraped within."""
        for series in self._named(name):
            if (value := span.fresh(series)) is not None:
                yield Sample(series.labels, value)

    def _named(self, name: str) -> Iterator[Series]:
        return iter(self.series.get(name, {}).values())

    def _all(self) -> Iterator[Series]:
        return (series for named in self.series.values() for series in named.values())


def _last(series: Series, *, after: float, until: float) -> float | None:
    for at, value in reversed(series.samples):
        if at <= until:
            return value if at > after else None
    return None
