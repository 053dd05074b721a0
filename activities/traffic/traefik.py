"""Traefik: the weights of a TraefikService, which an IngressRoute names in place of a Service.

Traefik writes no status, so nobody can say whether it follows, and takes changes together once in two seconds
(`providersThrottleDuration`). A TraefikService knows no headers and no hosts.
"""

from __future__ import annotations

from activities.clusters.kubernetes.kinds import TRAEFIK_SERVICE
from activities.traffic.weighted.shapes import Rule, Shape, every_one, named
from activities.traffic.weighted.shares import Ref


def _ref(body: Rule, namespace: str) -> Ref:
    kind, place = body.get("kind") or "Service", body.get("namespace") or namespace
    is_near = (kind, place) == ("Service", namespace)
    port = str(body.get("port", ""))
    rest = port if is_near else f"{kind}/{place}/{body['name']}:{port}"
    return Ref(body["name"] if is_near else "", rest, body.get("weight"))


TRAEFIK = Shape(
    provider="traefik",
    field="traefikService",
    kind=TRAEFIK_SERVICE,
    lists=((("spec", "weighted"), "services"),),
    ref=_ref,
    renamed=named,
    effective=every_one,
    lead=2.5,
)
