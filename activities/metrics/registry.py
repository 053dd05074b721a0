"""The metrics providers of a worker, by the names that its settings give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from activities.endpoints import Endpoints
from activities.metrics.null import NullMetrics, NullMetricsSettings
from activities.metrics.openmetrics import OpenMetricsProvider, OpenMetricsSettings
from activities.metrics.prometheus.provider import PrometheusProvider
from activities.metrics.prometheus.settings import PrometheusSettings
from activities.metrics.protocol import MetricsProvider
from activities.registry import Factory, Registry

MetricsSettings = Annotated[OpenMetricsSettings | PrometheusSettings | NullMetricsSettings, Field(discriminator="kind")]
"""Settings of one provider, by `kind`."""


def metrics_providers(settings: Mapping[str, MetricsSettings], endpoints: Endpoints) -> Registry[MetricsProvider]:
    """Every provider that an `analysis.provider` may name, third parties' included; without settings only `main`."""
    named = settings or {"main": OpenMetricsSettings()}
    return Registry("metrics", {name: _factory(one, endpoints) for name, one in named.items()})


def _factory(settings: MetricsSettings, endpoints: Endpoints) -> Factory[MetricsProvider]:
    match settings:
        case OpenMetricsSettings():
            return lambda: OpenMetricsProvider(settings, endpoints)
        case PrometheusSettings():
            return lambda: PrometheusProvider(settings)
        case NullMetricsSettings():
            return NullMetrics
