"""A recording judged by a document's analysis: once as one release, or cut into many to see how often it would act."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cli.errors import BadInput
from cli.moments import moment
from cli.report import Chapter, Report
from workflows.model.analysis import Analysis
from workflows.model.backtest import Backtested, Window
from workflows.model.release import Component, Release
from workflows.model.series import parse_conditions
from workflows.model.shapes import parse_duration


@dataclass(frozen=True)
class Backtest:
    """What the analysis would have decided."""

    subject: str
    component: str
    found: Backtested
    is_cut: bool
    """The recording was cut into more than one release."""
    is_same: bool
    """Both sides were one version, so whatever rolled back was a false alarm."""

    @property
    def shown(self) -> Window:
        """The one that is shown in full."""
        return self.found.windows[self.found.shown]

    @property
    def counts(self) -> dict[str, int]:
        """How many ended with each verdict."""
        return dict(Counter(window.decision.verdict for window in self.found.windows))

    @property
    def report(self) -> Report:
        """The shown one, in full."""
        found, decision = self.found, self.shown.decision
        chapter = Chapter(self.component, found.metrics, found.evidence, found.timeline, found.turns)
        return Report(self.subject, "", decision.verdict, f"{decision.reason}: {decision.message}", (chapter,))

    def to_json(self) -> dict[str, Any]:
        """The stable shape of `analyze -o json`."""
        cut = {"windows": [window.model_dump(mode="json") for window in self.found.windows]} if self.is_cut else {}
        same = {"falseAlarms": self.counts.get("rollback", 0)} if self.is_same else {}
        return {**self.report.to_json(), "verdicts": self.counts, **same, **cut}


def component_of(release: Release, name: str | None) -> tuple[Component, Analysis]:
    """The component whose analysis is played. Errors: BadInput naming those that have one."""
    judged = {component.name: (component, component.analysis) for component in release.spec.components}
    found = {name: (component, analysis) for name, (component, analysis) in judged.items() if analysis}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    known = ", ".join(found) or "none of its components"
    said = f"component {name} has no analysis" if name else "say which component: --component NAME"
    raise BadInput(f"{said}; {known} {'have' if len(found) != 1 else 'has'} one")


@dataclass(frozen=True)
class Past:
    """What a metric store is asked for."""

    canary: str
    stable: str
    since: float
    until: float


def past_of(
    canary: str | None, stable: str | None, since: str | None, until: str | None, *, is_file: bool
) -> Past | None:
    """The options that mean a metric store; None where none is given. Errors: BadInput."""
    given = {"--canary": canary, "--stable": stable, "--from": since, "--to": until}
    if not any(given.values()):
        return None
    if is_file:
        names = ", ".join(name for name, text in given.items() if text)
        raise BadInput(f"--csv is a recording already, so {names} cannot be asked for; give one of them")
    if not (canary and stable and since):
        missing = " and ".join(name for name in ("--canary", "--stable", "--from") if not given[name])
        raise BadInput(f"{missing} is missing: which series are the new version's, which the old one's, and since when")
    now = time.time()
    past = Past(
        _conditions("--canary", canary),
        _conditions("--stable", stable),
        _moment("--from", since, now),
        _moment("--to", until, now) if until else now,
    )
    if past.since >= past.until:
        raise BadInput("--from must lie before --to")
    return past


def _conditions(option: str, text: str) -> str:
    try:
        parse_conditions(text)
    except ValueError as error:
        raise BadInput(f"{option}: {error}") from error
    return text


def _moment(option: str, text: str, now: float) -> float:
    with suppress(ValueError):
        return now - parse_duration(text).total_seconds()
    if (at := moment(text)) is not None:
        return at
    allowed = "write a time with its zone, such as 2026-11-28T16:00:00Z, or how long ago it was, such as 6h"
    raise BadInput(f"{option}: {text!r} is not allowed; {allowed}")
