"""Istio: the weights of a VirtualService's destinations, with a host or a subset for each version.

With hosts the canary's destination is its own Service. A subset of the stable host stays on the stable destination; the
canary's has none, because no DestinationRule knows it. Subsets are in `weighted/subsets`. Istio writes no status unless
told to, so nobody can say whether the proxies follow.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import DESTINATION_RULE, VIRTUAL_SERVICE
from activities.traffic.weighted import mirrors
from activities.traffic.weighted.hosts import service_in
from activities.traffic.weighted.shapes import Headers, Rule, Shape
from activities.traffic.weighted.shares import Ref


def _ref(body: Rule, namespace: str) -> Ref:
    destination = body["destination"]
    port = str((destination.get("port") or {}).get("number", ""))
    service = service_in(destination["host"], namespace)
    return Ref(service, port if service else f"{destination['host']}:{port}", body.get("weight"))


def _renamed(body: Rule, service: str) -> Rule:
    """The same way of writing the host, short or in full."""
    made = copy.deepcopy(body)
    _, dot, place = made["destination"]["host"].partition(".")
    made["destination"]["host"] = f"{service}{dot}{place}"
    made["destination"].pop("subset", None)
    return made


def _effective(weights: Sequence[int | None]) -> list[int]:
    """A destination without others gets everything, whatever its weight."""
    return [100] if len(weights) == 1 else [weight or 0 for weight in weights]


def _fronts(rule: Rule, headers: Headers) -> list[Rule]:
    """One route whose matches are those of the rule, each with each header; a name would be there twice."""
    matches = []
    for match in rule.get("match") or [{}]:
        for item in headers:
            name = item["header"].lower()
            others = {key: value for key, value in (match.get("headers") or {}).items() if key.lower() != name}
            unnamed = {key: value for key, value in match.items() if key != "name"}
            matches.append(copy.deepcopy(unnamed) | {"headers": {**others, name: {"exact": item["exact"]}}})
    kept = {key: value for key, value in rule.items() if key != "name"}
    return [copy.deepcopy(kept) | {"match": matches}]


def _companion(route: Object, host: str, rules: list[Rule]) -> Object:
    kept = {key: route["spec"][key] for key in ("gateways", "exportTo") if key in route["spec"]}
    return {"spec": {**kept, "hosts": [host], "http": rules}}


ISTIO = Shape(
    provider="istio",
    field="virtualService",
    kind=VIRTUAL_SERVICE,
    lists=((("spec", "http"), "route"), (("spec", "tcp"), "route"), (("spec", "tls"), "route")),
    ref=_ref,
    renamed=_renamed,
    effective=_effective,
    fronts=_fronts,
    companion=_companion,
    host=("spec", "hosts"),
    mirror=mirrors.MIRRORS,
    asked="match",
    policy=DESTINATION_RULE,
    lead=1.0,
)
