"""The routers that come with Headgate."""

from __future__ import annotations

from activities.clusters.envoy.settings import EnvoySettings
from activities.registry import Registry
from activities.traffic.envoy import EnvoyRouter
from activities.traffic.null import NoRouter
from activities.traffic.protocol import TrafficRouter


def traffic_routers(envoy: EnvoySettings | None) -> Registry[TrafficRouter]:
    """Every router of a worker with these settings, third parties' included; without an Envoy that kind is unknown."""
    return Registry("traffic", {"none": NoRouter} | ({"envoy": lambda: EnvoyRouter(envoy)} if envoy else {}))
