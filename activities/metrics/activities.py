"""The bridge from the metrics contract to a provider, tick by tick."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from activities.metrics.backtests import Backtest
from activities.metrics.clock import Clock, SystemClock
from activities.metrics.examining import examine
from activities.metrics.following import Following
from activities.metrics.measuring import measure
from activities.metrics.observer import Observer
from activities.metrics.protocol import MetricsProvider
from activities.registry import Registry
from activities.traffic.keeping import Keeping
from workflows.contracts.metrics import (
    BacktestRequest,
    Examined,
    ExamineRequest,
    FollowRequest,
    Measured,
    MeasureRequest,
    MetricActivities,
    Observed,
    ObserveRequest,
)
from workflows.errors import ForeignChange, Rejected
from workflows.model.analysis import Analysis
from workflows.model.backtest import Backtested
from workflows.model.shapes import carried
from workflows.model.status import LateRequests
from workflows.model.target import Target


class Metrics(MetricActivities):
    """Watches with the provider that the component's analysis names."""

    def __init__(
        self,
        providers: Registry[MetricsProvider],
        lookout: Callable[[Target], Awaitable[ForeignChange]],
        keeping: Keeping,
        *,
        clock: Callable[[], Clock] = SystemClock,
    ) -> None:
        self._providers = providers
        self._lookout = lookout
        self._keeping = keeping
        self._clock = clock

    async def observe(self, request: ObserveRequest) -> Observed:
        if request.analysis is None:
            return await self._run(request, None, None)
        analysis = _read(request.analysis, f"the analysis of {request.target.component}")
        return await self._run(request, analysis, self._providers.get(analysis.provider))

    async def measure(self, request: MeasureRequest) -> Measured:
        analysis = _read(request.analysis, f"the analysis of {request.target.component}")
        provider = self._providers.get(analysis.provider)
        return await measure(provider, analysis, request.target, self._clock())

    async def follow(self, request: FollowRequest) -> LateRequests:
        analysis = _read(request.analysis, f"the analysis of {request.target.component}")
        return await Following(request, analysis, self._providers.get(analysis.provider), self._clock()).run()

    async def backtest(self, request: BacktestRequest) -> Backtested:
        analysis = _read(request.analysis, "the analysis")
        return await Backtest(request, analysis, self._providers.get(analysis.provider), self._clock()).run()

    async def examine(self, request: ExamineRequest) -> Examined:
        analysis = _read(request.analysis, f"the analysis of {request.target.component}")
        provider = self._providers.get(analysis.provider)
        return await examine(provider, analysis, request, self._clock())

    async def _run(
        self, request: ObserveRequest, analysis: Analysis | None, provider: MetricsProvider | None
    ) -> Observed:
        async with self._keeping(request.target):
            return await self._watch(request, Observer(request, analysis, provider, self._clock()))

    async def _watch(self, request: ObserveRequest, observer: Observer) -> Observed:
        if not request.is_watchful:
            return await observer.run()
        watching = asyncio.ensure_future(self._lookout(request.target))
        try:
            return await observer.run(watching)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def _read(analysis: dict[str, Any], what: str) -> Analysis:
    try:
        return carried(Analysis, analysis)
    except ValueError as error:
        message = f"this worker cannot read {what}; is it older than the release?"
        raise Rejected(message, provider="metrics", operation="observe") from error
