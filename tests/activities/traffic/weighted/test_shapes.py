"""Each kind's way of writing lists: whatever was written, what was there before comes back to the letter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.patch import patched
from activities.traffic.contour import CONTOUR
from activities.traffic.gateway_api import GATEWAY_API, GRPC
from activities.traffic.istio import ISTIO
from activities.traffic.traefik import TRAEFIK
from activities.traffic.weighted.edits import Part
from activities.traffic.weighted.shapes import Shape
from activities.traffic.weighted.shares import percents
from workflows.errors import Rejected
from workflows.model.target import Backend, TrafficState

SERVICES: dict[Backend, str] = {"stable": "trip", "canary": "trip-canary", "maintenance": "trip-maintenance"}
HEADERS = [{"header": "X-Canary", "exact": "yes"}, {"header": "X-Test", "exact": "1"}]
Entry = tuple[str, int | None]


def part(shape: Shape) -> Part:
    return Part(shape, "test", SERVICES, "local/test/deployment/trip", f"{shape.kind.name} test/shop")


def weighed(body: dict[str, Any], weight: int | None) -> dict[str, Any]:
    return body if weight is None else {**body, "weight": weight}


def contour(lists: list[list[Entry]]) -> Any:
    mirror = {"name": "trip", "port": 80, "mirror": True, "weight": 10}
    routes = [
        {"services": [*(weighed({"name": name, "port": 80}, weight) for name, weight in entries), mirror]}
        for entries in lists
    ]
    return {"virtualhost": {"fqdn": "shop.example.com"}, "routes": routes}


def istio(lists: list[list[Entry]]) -> Any:
    places = {"trip": "trip.test.svc.cluster.local"}
    routes = [
        {
            "name": f"route-{i}",
            "route": [weighed({"destination": {"host": places.get(n, n), "subset": "v1"}}, w) for n, w in entries],
        }
        for i, entries in enumerate(lists)
    ]
    tcp = [{"route": [{"destination": {"host": "trip"}}]}]
    return {"hosts": ["shop.example.com"], "http": routes, "tcp": tcp}


def traefik(lists: list[list[Entry]]) -> Any:
    return {"weighted": {"services": [weighed({"name": name, "port": 80}, weight) for name, weight in lists[0]]}}


def gateway_api(lists: list[list[Entry]]) -> Any:
    rules = [
        {
            "backendRefs": [
                {"name": name, "port": 80, "weight": 1 if weight is None else weight} for name, weight in entries
            ]
        }
        for entries in lists
    ]
    return {"parentRefs": [{"name": "web"}], "rules": rules}


SHAPES: dict[str, tuple[Shape, Callable[[list[list[Entry]]], Any]]] = {
    "contour": (CONTOUR, contour),
    "gatewayApi": (GATEWAY_API, gateway_api),
    "grpc": (GRPC, gateway_api),
    "istio": (ISTIO, istio),
    "traefik": (TRAEFIK, traefik),
}


def shop(kind: str, lists: list[list[Entry]]) -> Object:
    return {"metadata": {"name": "shop", "annotations": {}}, "spec": SHAPES[kind][1](lists)}


def sent(mine: Part, there: Object) -> list[dict[Backend, float]]:
    """How each rule truly divides the component's requests, whatever is noted about it."""
    return [percents(rule.refs, SERVICES, mine.shape.effective) for rule in mine._mine(there)]


def written(mine: Part, there: Object, wish: TrafficState) -> Object:
    """The object after the patches of a write, each of which sends users where they are or where they shall be."""
    introduced = patched(there, mine.introduce(there, wish))
    assert sent(mine, introduced) == sent(mine, there)
    moved = patched(introduced, mine.patch(introduced, wish, linger=True))
    tidied = patched(moved, mine.patch(moved, wish))
    assert sent(mine, moved) == sent(mine, tidied)
    return tidied


def state(canary: float, *, preview: bool) -> TrafficState:
    raw = {"match": HEADERS, "preview": "next.example.com"} if preview else {}
    weights: dict[Backend, float] = {"stable": 100 - canary, "canary": canary}
    return TrafficState(weights=weights, preview_to="canary" if preview else None, raw=raw)


weights = st.none() | st.integers(0, 100)
names = st.sampled_from(["users", "other", "more"])
others = st.lists(st.tuples(names, weights), max_size=3, unique_by=lambda entry: entry[0])
lists = st.lists(others.flatmap(lambda found: st.permutations([*found, ("trip", 7)])), min_size=1, max_size=3)
shifts = st.lists(
    st.builds(state, st.integers(0, 10_000).map(lambda n: n / 100), preview=st.booleans())
    | st.just(TrafficState(weights={"maintenance": 100})),
    max_size=4,
)


@pytest.mark.parametrize("kind", SHAPES)
@settings(deadline=None)
@given(lists=lists, shifts=shifts)
def test_any_sequence_of_shifts_is_undone_to_the_letter(
    kind: str, lists: list[list[Entry]], shifts: list[TrafficState]
) -> None:
    mine, there = part(SHAPES[kind][0]), shop(kind, lists)
    original, before = there, mine.read(there)
    for shift in shifts:
        there = written(mine, there, shift)
        read = mine.read(there)
        assert {b: w for b, w in read.weights.items() if w} == {b: w for b, w in shift.weights.items() if w}
    assert written(mine, there, before) == original


def test_contour_shares_evenly_where_no_weight_is_written() -> None:
    there = written(part(CONTOUR), shop("contour", [[("trip", None), ("users", None)]]), state(50, preview=False))
    services = there["spec"]["routes"][0]["services"]
    assert [(s["name"], s["weight"]) for s in services] == [
        ("trip", 5),
        ("trip-canary", 5),
        ("users", 10),
        ("trip", 10),
    ], "the mirror, which comes last, keeps its percentage"


def test_contour_asks_for_all_conditions_of_a_route_so_each_header_has_its_own() -> None:
    there = written(part(CONTOUR), shop("contour", [[("trip", None)]]), state(0, preview=True))
    fronts = there["spec"]["routes"][:2]
    assert [front["conditions"] for front in fronts] == [
        [{"header": {"name": "X-Canary", "exact": "yes"}}],
        [{"header": {"name": "X-Test", "exact": "1"}}],
    ]
    assert [[service["name"] for service in front["services"]] for front in fronts] == [["trip-canary"]] * 2


def test_a_proxy_without_a_host_has_no_preview_host() -> None:
    there = shop("contour", [[("trip", None)]])
    del there["spec"]["virtualhost"]
    with pytest.raises(Rejected, match="is included by another and has no host; leave preview out"):
        part(CONTOUR).companion(there, state(0, preview=True))


def test_istio_keeps_the_form_of_the_host_and_gives_the_canary_no_subset() -> None:
    there = written(part(ISTIO), shop("istio", [[("trip", None)]]), state(25, preview=True))
    front, route = there["spec"]["http"]
    assert front["match"] == [{"headers": {"x-canary": {"exact": "yes"}}}, {"headers": {"x-test": {"exact": "1"}}}]
    assert "name" not in front
    assert route["route"] == [
        {"destination": {"host": "trip.test.svc.cluster.local", "subset": "v1"}, "weight": 75},
        {"destination": {"host": "trip-canary.test.svc.cluster.local"}, "weight": 25},
    ]
    assert there["spec"]["tcp"][0]["route"][1] == {"destination": {"host": "trip-canary"}, "weight": 25}


def test_a_call_of_any_method_has_no_match_but_the_header() -> None:
    there = written(part(GRPC), shop("grpc", [[("trip", None)]]), state(0, preview=True))
    front = there["spec"]["rules"][0]
    assert front["matches"] == [
        {"headers": [{"type": "Exact", "name": "X-Canary", "value": "yes"}]},
        {"headers": [{"type": "Exact", "name": "X-Test", "value": "1"}]},
    ]


def test_a_call_of_one_method_keeps_it_beside_the_header() -> None:
    there = shop("grpc", [[("trip", None)]])
    there["spec"]["rules"][0]["matches"] = [{"method": {"service": "shop.Trips"}}]
    front = written(part(GRPC), there, state(0, preview=True))["spec"]["rules"][0]
    assert [match["method"] for match in front["matches"]] == [{"service": "shop.Trips"}] * 2


@pytest.mark.parametrize(
    ("spec", "status", "answered"),
    [
        ({"name": "web"}, {"name": "web", "namespace": "test"}, True),
        ({"name": "web", "namespace": "test"}, {"name": "web", "kind": "Gateway"}, True),
        ({"name": "web", "namespace": "edge"}, {"name": "web"}, False),
        ({"name": "web"}, {"name": "web", "namespace": "test", "sectionName": "https"}, False),
        ({"group": "", "kind": "Service", "name": "web"}, {"name": "web"}, False),
    ],
    ids=["namespace added", "namespace left out", "another namespace", "another section", "another kind"],
)
def test_an_answer_is_a_parents_whether_or_not_either_writes_defaults(
    spec: dict[str, str], status: dict[str, str], *, answered: bool
) -> None:
    conditions = [{"type": name, "status": "True", "observedGeneration": 1} for name in ("Accepted", "ResolvedRefs")]
    route = {
        "metadata": {"name": "shop", "namespace": "test", "generation": 1},
        "spec": {"parentRefs": [spec]},
        "status": {"parents": [{"parentRef": status, "conditions": conditions}]},
    }
    assert GATEWAY_API.trouble
    assert GATEWAY_API.trouble(route) == ("" if answered else "web has not answered yet")


def test_only_the_routes_that_are_named_are_touched() -> None:
    named = replace(part(ISTIO), routes=("route-1",))
    before = shop("istio", [[("trip", None)], [("trip", None)]])
    there = written(named, before, state(25, preview=True))
    other, front, route = there["spec"]["http"]
    assert front["route"][0]["destination"]["host"] == "trip-canary.test.svc.cluster.local"
    assert (other, there["spec"]["tcp"]) == (before["spec"]["http"][0], before["spec"]["tcp"])
    assert [entry["weight"] for entry in route["route"]] == [75, 25]
    assert written(named, there, TrafficState(weights={"stable": 100})) == before


def test_a_route_that_is_not_there_is_refused_with_those_that_are() -> None:
    wrong = replace(part(ISTIO), routes=("route1",))
    with pytest.raises(Rejected, match=r"no route named route1; did you mean route-0\? \(it has route-0\)"):
        wrong.read(shop("istio", [[("trip", None)]]))
