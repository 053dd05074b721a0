"""What the metrics providers of a worker could never read, told before a release touches anything."""

from __future__ import annotations

from collections.abc import Iterator

from activities.metrics.protocol import MetricsProvider
from activities.registry import Registry
from workflows.errors import Problem, Unsupported
from workflows.model.analysis import Analysis
from workflows.model.target import Target


def objections(providers: Registry[MetricsProvider], target: Target, analysis: Analysis) -> Iterator[Problem]:
    """Every problem with its path below the analysis; asks nobody."""
    try:
        provider = providers.get(analysis.provider)
    except Unsupported as error:
        yield Problem("provider", str(error))
        return
    for index, metric in enumerate(analysis.metrics):
        if message := provider.objection(target, metric):
            yield Problem(f"metrics[{index}]", message)
