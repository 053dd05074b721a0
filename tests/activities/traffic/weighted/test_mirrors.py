"""Copies of requests: written beside what is there, taken away to the letter, and refused where there is no room."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.patch import patched
from activities.traffic.contour import CONTOUR
from activities.traffic.gateway_api import GATEWAY_API
from activities.traffic.istio import ISTIO
from activities.traffic.weighted.edits import Part
from activities.traffic.weighted.shapes import Shape
from activities.traffic.weighted.subsets.part import SubsetPart
from tests.activities.traffic.weighted.test_subsets import part as subset_part
from workflows.errors import ForeignChange, Rejected
from workflows.model.target import Backend, TrafficState

SERVICES: dict[Backend, str] = {"stable": "trip", "canary": "trip-canary", "maintenance": "trip-maintenance"}
HEADERS = [{"header": "x-canary", "exact": "yes"}]


def part(shape: Shape) -> Part:
    return Part(shape, "test", SERVICES, "local/test/deployment/trip", f"{shape.kind.name} test/shop")


def shop(**spec: Any) -> Object:
    return {"metadata": {"name": "shop", "annotations": {"owner": "shop"}}, "spec": spec}


SET = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]}}
OTHERS = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}}
GATEWAY = shop(rules=[{"backendRefs": [{"name": "trip", "port": 80}], "filters": [SET, OTHERS]}])
PROXY = shop(virtualhost={"fqdn": "shop"}, routes=[{"services": [{"name": "trip", "port": 80, "protocol": "h2c"}]}])
MESH = shop(
    hosts=["shop"],
    http=[{"name": "trips", "route": [{"destination": {"host": "trip.test"}}], "timeout": "5s"}],
    tcp=[{"route": [{"destination": {"host": "trip"}}]}],
)
FORMS: dict[str, tuple[Part | SubsetPart, Object, Any]] = {
    "gatewayApi": (
        part(GATEWAY_API),
        GATEWAY,
        lambda spec: spec["rules"][-1]["filters"][2]["requestMirror"],
    ),
    "contour": (part(CONTOUR), PROXY, lambda spec: spec["routes"][-1]["services"][-1]),
    "istio": (part(ISTIO), MESH, lambda spec: spec["http"][-1]["mirrors"][0]),
    "subsets": (subset_part(), MESH, lambda spec: spec["http"][-1]["mirrors"][0]),
}
WRITTEN: dict[str, Any] = {
    "gatewayApi": {"backendRef": {"name": "trip-canary", "port": 80}, "percent": 20},
    "contour": {"name": "trip-canary", "port": 80, "protocol": "h2c", "mirror": True, "weight": 20},
    "istio": {"destination": {"host": "trip-canary.test"}, "percentage": {"value": 20.0}},
    "subsets": {
        "destination": {"host": "trip.test", "subset": subset_part().view.canary},
        "percentage": {"value": 20.0},
    },
}


def copying(**raw: Any) -> TrafficState:
    weights: dict[Backend, float] = {"stable": 100}
    return TrafficState(weights=weights, preview_to="canary", raw={"mirror": 20.0, **raw})


def written(mine: Part | SubsetPart, there: Object, wish: TrafficState) -> Object:
    """The object after a write, in the order of the router."""
    introduced = patched(there, mine.introduce(there, wish))
    moved = patched(introduced, mine.patch(introduced, wish, linger=True))
    settled = patched(moved, mine.patch(moved, wish))
    result = patched(settled, mine.copied(settled, wish))
    assert not mine.refuse_pruned(result, wish)
    return result


@pytest.mark.parametrize("form", FORMS)
def test_copies_go_to_the_canary_until_its_first_user_and_leave_no_trace(form: str) -> None:
    mine, before, entry = FORMS[form]
    there = written(mine, before, copying())
    assert entry(there["spec"]) == WRITTEN[form]
    assert mine.read(there) == copying()
    assert mine.refers_to(there, "canary"), "what copies are sent to must stay"
    assert written(mine, there, copying()) == there, "a second time changes nothing"
    with_users = written(mine, there, TrafficState(weights={"stable": 95, "canary": 5}, preview_to="canary"))
    assert "mirror" not in str(with_users["metadata"]["annotations"].keys())
    assert WRITTEN[form] not in [with_users["spec"], *str(with_users["spec"]).split("X")]
    assert written(mine, with_users, TrafficState(weights={"stable": 100})) == before
    assert written(mine, there, TrafficState(weights={"stable": 100})) == before


@pytest.mark.parametrize("form", FORMS)
def test_requests_that_a_header_leads_to_the_canary_are_not_copied_there_too(form: str) -> None:
    mine, before, _ = FORMS[form]
    there = written(mine, before, copying(match=HEADERS))
    once = written(mine, there, copying(match=HEADERS))
    assert once == there
    section = next(name for name in ("rules", "routes", "http") if name in there["spec"])
    front = there["spec"][section][0]
    assert "percent" not in str(front)
    assert "'mirror': True" not in str(front)


@pytest.mark.parametrize("form", FORMS)
def test_copies_that_somebody_else_changes_are_a_foreign_change(form: str) -> None:
    mine, before, _ = FORMS[form]
    there = written(mine, before, copying())
    mine.refuse_foreign(there, "look")
    more = json.loads(json.dumps(there["spec"]).replace(": 20", ": 60"))
    gone = written(mine, before, TrafficState(weights={"stable": 100}, preview_to="canary"))["spec"]
    for spoilt in ({**there, "spec": spec} for spec in (more, gone)):
        with pytest.raises(ForeignChange, match="/0: copies of requests are not as written"):
            mine.refuse_foreign(spoilt, "look")
        put_back = patched(spoilt, mine.patch(spoilt, copying(), insist=True))
        mine.refuse_foreign(patched(put_back, mine.copied(put_back, copying())), "look")


FULL = {
    "a mirror of the old form": (part(ISTIO), "http", {"mirror": {"host": "audit"}}, "has mirror, and istio allows no"),
    "a mirror of Contour": (part(CONTOUR), "routes", {}, "has a copy to somebody else, and contour allows no other"),
}


@pytest.mark.parametrize("case", FULL)
def test_where_there_is_no_room_for_a_copy_it_is_refused(case: str) -> None:
    mine, section, more, sentence = FULL[case]
    rule = {"route": [{"destination": {"host": "trip"}}], **more}
    if section == "routes":
        rule = {"services": [{"name": "trip", "port": 80}, {"name": "audit", "port": 80, "mirror": True}]}
    with pytest.raises(Rejected, match=sentence):
        mine.copied(shop(**{section: [rule]}), copying())


def test_a_share_that_the_api_server_forgets_is_refused_before_everything_is_copied() -> None:
    mine = part(GATEWAY_API)
    there = written(mine, GATEWAY, copying())
    del there["spec"]["rules"][0]["filters"][2]["requestMirror"]["percent"]
    with pytest.raises(Rejected, match="its kind is too old here to copy a share"):
        mine.refuse_pruned(there, copying())


def test_a_shape_without_copies_writes_none() -> None:
    assert not replace(part(GATEWAY_API), shape=replace(GATEWAY_API, mirror=None)).copied(GATEWAY, copying())
