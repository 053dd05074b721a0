"""The routers that come with Headgate."""

from __future__ import annotations

from functools import partial

from activities.clusters.envoy.settings import EnvoySettings
from activities.clusters.kubernetes.clusters import Clusters
from activities.registry import Factory, Registry
from activities.traffic.contour import CONTOUR
from activities.traffic.envoy import EnvoyRouter
from activities.traffic.gateway_api import GATEWAY_API, GRPC
from activities.traffic.ingresses.nginx import NginxRouter
from activities.traffic.ingresses.switch import IngressSwitch
from activities.traffic.istio import ISTIO
from activities.traffic.null import NoRouter
from activities.traffic.protocol import TrafficRouter
from activities.traffic.replica_ratio import ReplicaRatio
from activities.traffic.service_selector import ServiceSelector
from activities.traffic.traefik import TRAEFIK
from activities.traffic.weighted.router import WeightedRouter

_SHAPES = (GATEWAY_API, GRPC, CONTOUR, ISTIO, TRAEFIK)
"""Kinds of objects that hold weighted lists of backends; those of one provider differ in the field that names them."""


def traffic_routers(envoy: EnvoySettings | None, clusters: Clusters | None = None) -> Registry[TrafficRouter]:
    """Every router of a worker with these settings, third parties' included; others are unknown to it."""
    routers: dict[str, Factory[TrafficRouter]] = {"none": NoRouter}
    if envoy:
        routers["envoy"] = lambda: EnvoyRouter(envoy)
    if clusters is not None:
        routers["service"] = partial(ServiceSelector, clusters)
        routers["replicas"] = partial(ReplicaRatio, clusters)
        routers["ingress"] = partial(IngressSwitch, clusters)
        routers["nginx"] = partial(NginxRouter, clusters)
        for provider in {shape.provider for shape in _SHAPES}:
            shapes = [shape for shape in _SHAPES if shape.provider == provider]
            routers[provider] = partial(WeightedRouter, shapes, clusters)
    return Registry("traffic", routers)
