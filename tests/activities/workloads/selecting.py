"""One object of each kind that selects the pods of the Deployment trip, and a change that its owner makes."""

from __future__ import annotations

from typing import Any, NamedTuple

from activities.clusters.kubernetes import kinds
from activities.clusters.kubernetes.kinds import Kind
from tests.cluster import Namespace

TRIP = {"app": "trip"}
OWN = {"selector": {"matchLabels": TRIP}}
SIDE = {"workloadSelector": {"labels": TRIP}}
CRDS = ("istio", "prometheus-operator")
"""What brings the kinds that a cluster does not have by itself."""


class Selecting(NamedTuple):
    """What somebody has written, and the field that they write over it."""

    kind: Kind
    spec: dict[str, Any]
    field: str
    value: Any


SELECTING = (
    Selecting(kinds.NETWORK_POLICY, {"podSelector": OWN["selector"], "ingress": [{}]}, "ingress", []),
    Selecting(kinds.POD_DISRUPTION_BUDGET, {**OWN, "maxUnavailable": 1}, "maxUnavailable", 2),
    Selecting(kinds.SERVICE_MONITOR, {**OWN, "endpoints": [{"port": "http"}]}, "jobLabel", "app"),
    Selecting(kinds.POD_MONITOR, {**OWN, "podMetricsEndpoints": [{"port": "http"}]}, "jobLabel", "app"),
    Selecting(kinds.AUTHORIZATION_POLICY, {**OWN, "rules": [{}]}, "action", "DENY"),
    Selecting(kinds.PEER_AUTHENTICATION, {**OWN, "mtls": {"mode": "STRICT"}}, "mtls", {"mode": "PERMISSIVE"}),
    Selecting(kinds.REQUEST_AUTHENTICATION, OWN, "jwtRules", [{"issuer": "https://shop.example.com"}]),
    Selecting(kinds.TELEMETRY, OWN, "accessLogging", [{"disabled": True}]),
    Selecting(kinds.WASM_PLUGIN, {**OWN, "url": "oci://registry.test/filter:v1"}, "phase", "AUTHN"),
    Selecting(kinds.SIDECAR, SIDE, "outboundTrafficPolicy", {"mode": "REGISTRY_ONLY"}),
    Selecting(kinds.ENVOY_FILTER, SIDE, "priority", 10),
)
LABELS = {"release": "prometheus", "istio.io/rev": "canary", "argocd.argoproj.io/instance": "shop"}


def select(namespace: Namespace) -> None:
    """Puts one of each kind there, all called trip."""
    for one in SELECTING:
        metadata = {"labels": LABELS}
        namespace.apply(one.kind.api_version, one.kind.name, "trip", spec=one.spec, metadata=metadata)


def found(namespace: Namespace, kind: Kind) -> dict[str, Any]:
    """The objects of a kind, by name."""
    objects = namespace.api.get(kind.path(namespace.name))["items"]
    return {one["metadata"]["name"]: one for one in objects}
