"""Whether something holds a user to one backend, so that weights divide users rather than requests; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from activities.clusters.kubernetes.api import Object

_STICKY = ("Cookie", "RequestHash")


def of_service(service: Object) -> str:
    """What a Service says, or nothing."""
    return "sessionAffinity ClientIP of the Service" if service["spec"].get("sessionAffinity") == "ClientIP" else ""


def of_rule(rule: Mapping[str, Any], field: str) -> str:
    """What a rule of a route, or an entry of its list, says: Gateway API, Contour or Traefik; or nothing."""
    strategy = (rule.get("loadBalancerPolicy") or {}).get("strategy")
    if rule.get("sessionPersistence"):
        return "sessionPersistence of the route"
    if strategy in _STICKY:
        return f"loadBalancerPolicy {strategy} of the route"
    if any(part.get("sticky") for part in (rule, *rule[field])):
        return "sticky cookies of the route"
    return ""


def of_ingress(ingress: Object) -> str:
    """What an Ingress tells ingress-nginx, or nothing; a hash decides among the pods of one version only."""
    told = ingress["metadata"].get("annotations") or {}
    return "session cookies of ingress-nginx" if told.get("nginx.ingress.kubernetes.io/affinity") == "cookie" else ""


def of_destination_rules(rules: Iterable[Object]) -> str:
    """What DestinationRules of the host say, or nothing."""
    names = (rule["metadata"]["name"] for rule in rules if any(map(_holds, _balancers(rule["spec"]))))
    return next((f"consistentHash of DestinationRule {name}" for name in names), "")


def _holds(balancer: Mapping[str, Any] | None) -> bool:
    return bool(balancer and balancer.get("consistentHash"))


def _balancers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any] | None]:
    """Of a host, of each of its ports, and of its subsets."""
    policy = spec.get("trafficPolicy") or {}
    yield policy.get("loadBalancer")
    yield from (port.get("loadBalancer") for port in policy.get("portLevelSettings") or ())
    for subset in spec.get("subsets") or ():
        yield from _balancers(subset)
