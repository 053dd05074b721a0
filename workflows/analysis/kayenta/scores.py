"""Classes of metrics to one score: groups, their weights, and where Kayenta fails open."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from workflows.analysis.kayenta.classes import Classified, Label
from workflows.model.kayenta import CanaryMetric

COUNTED: frozenset[Label] = frozenset({"Pass", "High", "Low", "NodataFailMetric"})
"""What a group's score is a share of; other classes are in no denominator."""
FULL = 100.0

Judged = Mapping[str, tuple[CanaryMetric, Classified]]
"""By metric, muted ones left out."""


class Scored(NamedTuple):
    """What a release's metrics come to."""

    score: float
    groups: dict[str, float | None]
    """None where no metric of the group counts; it then counts as 100."""
    reason: str = ""
    """Why everything failed at once."""


def score(judged: Judged, weights: Mapping[str, float]) -> Scored:
    """The weighted score, from 0 to 100 with two decimals."""
    groups = _groups(judged)
    failed = [name for name, (_, found) in judged.items() if found.is_critical and found.label != "Pass"]
    if failed:
        return Scored(0.0, groups, f"{failed[0]} is critical and {judged[failed[0]][1].label}")
    missing = sum(found.label == "Nodata" for _, found in judged.values())
    if judged and missing >= len(judged) / 2:
        return Scored(0.0, groups, f"{missing} of {len(judged)} metrics have no data")
    return Scored(_rounded(sum(_value(groups[name]) * part / 100 for name, part in _parts(groups, weights))), groups)


def _groups(judged: Judged) -> dict[str, float | None]:
    labels: dict[str, list[Label]] = {}
    for canary, found in judged.values():
        for group in canary.groups:
            labels.setdefault(group, []).append(found.label)
    return {group: _share(found) for group, found in labels.items()}


def _share(labels: list[Label]) -> float | None:
    counted = [label for label in labels if label in COUNTED]
    return counted.count("Pass") / len(counted) * FULL if counted else None


def _value(group: float | None) -> float:
    return FULL if group is None else group


def _parts(groups: Mapping[str, float | None], weights: Mapping[str, float]) -> list[tuple[str, float]]:
    """The percentage of each group; those without a weight share what the weights leave."""
    others = len(groups.keys() - weights.keys())
    left = (FULL - sum(weights.values())) / others if others else 0.0
    return [(name, weights.get(name, left)) for name in groups]


def _rounded(score: float) -> float:
    return float(Decimal(repr(score)).quantize(Decimal("0.01"), ROUND_HALF_UP))
