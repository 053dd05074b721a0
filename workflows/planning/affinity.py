"""Users who are held to one backend: what a metric says of one moment says less, so it is read less often."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from workflows.model.shapes import format_duration, parse_duration

TICK = timedelta(seconds=10)
"""The shortest tick where users are held."""


def steadied(analysis: dict[str, Any] | None) -> dict[str, Any] | None:
    """The analysis with a tick, and times that no tick may exceed, of ten seconds at least."""
    if analysis is None:
        return None
    metrics = [_with_rule(metric) for metric in analysis["metrics"]]
    steadier = {**analysis, "metrics": metrics}
    if scoring := analysis.get("kayenta"):
        steadier["kayenta"] = _longer(_longer(scoring, "step"), "interval")
    return _longer(_longer(steadier, "tick"), "patience")


def _with_rule(metric: dict[str, Any]) -> dict[str, Any]:
    return {**metric, "rule": _longer(metric["rule"], "interval")} if metric.get("rule") else metric


def _longer(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """A field that is written, or that stands for less when it is not, is never shorter than the tick."""
    written = fields.get(name)
    if written is None and name != "tick":
        return fields
    is_short = written is None or parse_duration(written) < TICK
    return {**fields, name: format_duration(TICK)} if is_short else fields
