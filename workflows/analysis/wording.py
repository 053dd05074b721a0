"""Numbers as people read them in sentences."""

from __future__ import annotations

from datetime import timedelta

from workflows.model.analysis import GaugeMetric, HistogramMetric, Metric
from workflows.model.shapes import format_duration


def unit_of(metric: Metric) -> str:
    """The unit of a metric's reports."""
    if isinstance(metric, GaugeMetric):
        return ""
    return "s" if isinstance(metric, HistogramMetric) else "%"


def scaled(value: float | None, unit: str) -> float | None:
    """A sample in the unit that is shown: shares become percentages."""
    return value * 100 if value is not None and unit == "%" else value


def amount(value: float, unit: str) -> str:
    """A sample with its unit, short: 5.2%, 480ms, 1.2s, 800."""
    if unit == "%":
        return f"{value * 100:.3g}%"
    if unit == "s":
        return f"{value * 1000:.3g}ms" if value < 1 else f"{value:.3g}s"
    return f"{value:.6g}"


def duration(seconds: float) -> str:
    """A time as documents write it, without fractions that nobody needs."""
    rounded = round(seconds) if seconds >= 10 else round(seconds, 1)
    return format_duration(timedelta(seconds=min(rounded, 10**9)))
