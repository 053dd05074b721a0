"""What is judged of the samples: steps without a value, and outliers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from workflows.model.kayenta import CanaryMetric


def cleaned(samples: Sequence[float | None], canary: CanaryMetric) -> list[float]:
    """The values to judge, as the metric's strategies say."""
    values = [
        0.0 if value is None else value for value in samples if value is not None or canary.nan_strategy != "remove"
    ]
    if canary.outliers.strategy == "keep" or not values:
        return values
    low, high = fences(values, canary.outliers.outlier_factor)
    return [value for value in values if low <= value <= high]


def fences(values: Sequence[float], factor: float) -> tuple[float, float]:
    """Tukey's, but never inside the 1st and 99th percentile."""
    ordered = sorted(values)
    lower, upper = percentile(ordered, 25), percentile(ordered, 75)
    reach = factor * (upper - lower)
    return min(percentile(ordered, 1), lower - reach), max(percentile(ordered, 99), upper + reach)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """By linear interpolation between sorted values (R's type 7)."""
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
