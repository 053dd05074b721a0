"""Contour: the weights of the Services of an HTTPProxy's routes.

Weights that are all missing or all 0 mean equal shares there; a mirror is in the same list and takes no share.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import HTTP_PROXY
from activities.traffic.weighted import mirrors
from activities.traffic.weighted.shapes import Headers, Rule, Shape, named
from activities.traffic.weighted.shares import Ref
from workflows.errors import Rejected


def _ref(body: Rule, namespace: str) -> Ref:
    del namespace  # A proxy reaches Services of its own namespace only.
    if body.get("mirror"):
        return Ref("", f"mirror {body['name']}:{body['port']}", body.get("weight"), is_apart=True)
    return Ref(body["name"], str(body["port"]), body.get("weight"))


def _effective(weights: Sequence[int | None]) -> list[int]:
    return [weight or 0 for weight in weights] if any(weights) else [1] * len(weights)


def _fronts(rule: Rule, headers: Headers) -> list[Rule]:
    """One route for each header, as the conditions of a route hold all together."""
    fronts = []
    for item in headers:
        name = item["header"].lower()
        others = [c for c in rule.get("conditions") or () if c.get("header", {}).get("name", "").lower() != name]
        header = {"header": {"name": item["header"], "exact": item["exact"]}}
        fronts.append(copy.deepcopy(rule) | {"conditions": [*copy.deepcopy(others), header]})
    return fronts


def _companion(route: Object, host: str, rules: list[Rule]) -> Object:
    if not (virtual_host := route["spec"].get("virtualhost")):
        raise Rejected(
            f"HTTPProxy {route['metadata']['name']} is included by another and has no host; leave preview out",
            provider="contour",
        )
    kept = {key: route["spec"][key] for key in ("ingressClassName",) if key in route["spec"]}
    return {"spec": {**kept, "virtualhost": {**virtual_host, "fqdn": host}, "routes": rules}}


def _trouble(route: Object) -> str:
    conditions = (route.get("status") or {}).get("conditions") or ()
    valid: dict[str, Any] = next((condition for condition in conditions if condition["type"] == "Valid"), {})
    generation = route["metadata"]["generation"]
    if valid.get("observedGeneration") != generation:
        return f"Contour has not seen generation {generation} yet"
    if valid.get("status") != "True":
        details = [error for kind in ("errors", "warnings") for error in valid.get(kind) or ()]
        return f"Contour finds it invalid: {'; '.join(d['message'] for d in details) or valid.get('message')}"
    return ""


CONTOUR = Shape(
    provider="contour",
    field="httpProxy",
    kind=HTTP_PROXY,
    lists=((("spec", "routes"), "services"), (("spec", "tcpproxy"), "services")),
    ref=_ref,
    renamed=named,
    effective=_effective,
    trouble=_trouble,
    fronts=_fronts,
    companion=_companion,
    host=("spec", "virtualhost", "fqdn"),
    mirror=mirrors.SERVICE,
    asked="conditions",
)
