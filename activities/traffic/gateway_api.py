"""Gateway API: the weights of the backends of an HTTPRoute or a GRPCRoute, which differ in their matches alone.

A route is in use when every parent that it names says so for the generation that was written; what else its status
says is not ours to judge.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import GRPC_ROUTE, HTTP_ROUTE
from activities.traffic.weighted import mirrors
from activities.traffic.weighted.shapes import Headers, Rule, Shape, every_one, named
from activities.traffic.weighted.shares import Ref

_CONDITIONS = ("Accepted", "ResolvedRefs")
_PARENT = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
_ANY_PATH: Rule = {"path": {"type": "PathPrefix", "value": "/"}}
_ANY_METHOD: Rule = {}


def _ref(body: Rule, namespace: str) -> Ref:
    group, kind = body.get("group") or "", body.get("kind") or "Service"
    place = body.get("namespace") or namespace
    is_near = (group, kind, place) == ("", "Service", namespace)
    port = str(body.get("port", ""))
    rest = port if is_near else f"{group}/{kind}/{place}/{body['name']}:{port}"
    return Ref(body["name"] if is_near else "", rest, body.get("weight"))


def _fronts(rule: Rule, headers: Headers, *, anything: Rule) -> list[Rule]:
    """One rule for all headers; a match that asks for another value of the same header can never be meant."""
    matches = []
    for match in rule.get("matches") or [anything]:
        for item in headers:
            others = [h for h in match.get("headers") or () if h["name"].lower() != item["header"].lower()]
            header = {"type": "Exact", "name": item["header"], "value": item["exact"]}
            matches.append(copy.deepcopy(match) | {"headers": [*others, header]})
    # A name would be there twice, and a session would hold users to the version that they once previewed.
    kept = {key: value for key, value in rule.items() if key not in ("name", "sessionPersistence")}
    return [copy.deepcopy(kept) | {"matches": matches}]


def _companion(route: Object, host: str, rules: list[Rule]) -> Object:
    return {"spec": {"parentRefs": route["spec"]["parentRefs"], "hostnames": [host], "rules": rules}}


def _trouble(route: Object) -> str:
    parents = route["spec"].get("parentRefs") or []
    if not parents:
        return "it names no parent, so nobody serves it"
    found = (route.get("status") or {}).get("parents") or []
    for parent in parents:
        answers = [answer for answer in found if _in_full(answer["parentRef"], route) == _in_full(parent, route)]
        if not answers:
            return f"{parent['name']} has not answered yet"
        for answer in answers:
            if trouble := _refusal(answer, route["metadata"]["generation"]):
                return f"{parent['name']} {trouble}"
    return ""


def _in_full(parent: dict[str, Any], route: Object) -> dict[str, Any]:
    """A reference with its defaults, which a route may leave out where its controller writes them, and the reverse."""
    return {**_PARENT, "namespace": route["metadata"]["namespace"], **parent}


def _refusal(answer: dict[str, Any], generation: int) -> str:
    conditions = {condition["type"]: condition for condition in answer.get("conditions") or ()}
    for name in _CONDITIONS:
        condition = conditions.get(name, {})
        if condition.get("observedGeneration") != generation:
            return f"has not seen generation {generation} yet"
        if condition.get("status") != "True":
            return f"says {name} is {condition.get('status')}: {condition.get('message') or condition.get('reason')}"
    return ""


GATEWAY_API = Shape(
    provider="gatewayApi",
    field="httpRoute",
    kind=HTTP_ROUTE,
    lists=((("spec", "rules"), "backendRefs"),),
    ref=_ref,
    renamed=named,
    effective=every_one,
    trouble=_trouble,
    fronts=partial(_fronts, anything=_ANY_PATH),
    companion=_companion,
    host=("spec", "hostnames"),
    mirror=mirrors.FILTER,
    asked="matches",
)
GRPC = replace(GATEWAY_API, field="grpcRoute", kind=GRPC_ROUTE, fronts=partial(_fronts, anything=_ANY_METHOD))
