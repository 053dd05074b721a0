"""The bridge from the metrics contract to a provider, tick by tick."""

from __future__ import annotations

from collections.abc import Callable

from activities.metrics.clock import Clock, SystemClock
from activities.metrics.observer import Observer
from activities.metrics.protocol import MetricsProvider
from activities.registry import Registry
from workflows.contracts.metrics import MetricActivities, Observed, ObserveRequest
from workflows.errors import Rejected
from workflows.model.analysis import Analysis
from workflows.model.shapes import carried


class Metrics(MetricActivities):
    """Watches with the provider that the component's analysis names."""

    def __init__(self, providers: Registry[MetricsProvider], *, clock: Callable[[], Clock] = SystemClock) -> None:
        self._providers = providers
        self._clock = clock

    async def observe(self, request: ObserveRequest) -> Observed:
        if request.analysis is None:
            return await Observer(request, None, None, self._clock()).run()
        try:
            analysis = carried(Analysis, request.analysis)
        except ValueError as error:
            raise Rejected(
                f"this worker cannot read the analysis of {request.target.component}; is it older than the release?",
                provider="metrics",
                operation="observe",
            ) from error
        return await Observer(request, analysis, self._providers.get(analysis.provider), self._clock()).run()
