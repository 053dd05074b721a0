"""Observations of what a real Prometheus has stored: time is the clock's, so a recorded minute takes no minute."""

from __future__ import annotations

import asyncio
from typing import Any

from activities.metrics.clock import Clock
from activities.metrics.prometheus.provider import PrometheusProvider
from activities.metrics.prometheus.settings import PrometheusSettings
from tests.activities.metrics.observing import Attempts, a_request, an_analysis, metrics
from tests.activities.metrics.pages import FakeClock
from workflows.contracts.metrics import Observed
from workflows.model.target import Target


def settings(url: str, **fields: Any) -> PrometheusSettings:
    return PrometheusSettings.model_validate(
        {"kind": "prometheus", "url": url, "scrapeInterval": "1s", "lag": "1s", **fields}
    )


class Recorded(PrometheusProvider):
    """A provider whose server has stopped at the observer's time."""

    async def settled(self, clock: Clock) -> float:
        return clock.now() - self._settings.lag.total_seconds()


def a_deployment(name: str = "trip", **traffic: Any) -> Target:
    return Target(
        component=name,
        cluster="prod-kr",
        namespace="prod",
        workload={"kind": "kubernetes", "deployment": name},
        traffic={"kind": "gatewayApi", "service": name, **traffic},
    )


def errors(**modes: Any) -> dict[str, Any]:
    modes = modes or {"compare": {}, "slo": {"max": "1%"}}
    return {"name": "errors", "kind": "ratio", "source": "app", **modes}


def latency(**modes: Any) -> dict[str, Any]:
    return {"name": "latency", "kind": "histogram", "source": "app", **(modes or {"compare": {}})}


def an_observation(*given: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return an_analysis(*(given or (errors(),)), tick="1s", **fields)


class Observation:
    """A run of the observer over stored data, cut into segments and attempts as a test likes."""

    def __init__(
        self,
        provider: str | Recorded,
        began: float,
        analysis: dict[str, Any],
        *,
        deployment: str = "trip",
        **fields: Any,
    ) -> None:
        self.clock = FakeClock(began)
        self.provider = Recorded(settings(provider)) if isinstance(provider, str) else provider
        self.request = a_request(target=a_deployment(deployment), analysis=analysis, **fields)
        self.observed: Observed | None = None

    async def segment(self, seconds: float, *kills: int, **fields: Any) -> Observed:
        """One segment; after each of so many heartbeats its worker is lost."""
        update: dict[str, Any] = {"limit_seconds": seconds, **fields}
        if self.observed:
            update |= {"segment": self.observed.segment + 1, "evidence": self.observed.evidence}
        self.request = self.request.model_copy(update=update)
        attempts = Attempts(metrics(self.provider, self.clock), self.request, at=self.clock.now())
        for beats in kills:
            running = attempts.start()
            beaten = asyncio.ensure_future(attempts.beaten(len(attempts.beats) + beats))
            await asyncio.wait([running, beaten], return_when=asyncio.FIRST_COMPLETED)
            beaten.cancel()
            attempts.environment.cancel()
            await running
        self.observed = await attempts.start()
        return self.observed

    async def close(self) -> None:
        await self.provider.close()
