"""Subsets of one host: seen as Services, written as subsets, and gone without a trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import canary_labels
from activities.clusters.kubernetes.patch import patched
from activities.traffic.istio import ISTIO
from activities.traffic.weighted.places import place_of
from activities.traffic.weighted.subsets.part import SubsetPart
from activities.traffic.weighted.subsets.rule import pointed, restored
from workflows.errors import ForeignChange, Rejected
from workflows.model.target import Target, TrafficState

HEADERS = [{"header": "canary", "exact": "true"}]
KEY = "local/test/deployment/trip"


def part(**subsets: str) -> SubsetPart:
    named = {"subsets": subsets} if subsets else {}
    traffic = {"kind": "istio", "virtualService": "shop", "destinationRule": "shop", "service": "trip", **named}
    target = Target(
        component="trip",
        cluster="local",
        namespace="test",
        workload={"kind": "kubernetes", "deployment": "trip"},
        traffic=traffic,
    )
    found = place_of(ISTIO, None, target).part  # type: ignore[arg-type]
    assert isinstance(found, SubsetPart)
    return found


def to(host: str, subset: str = "", weight: int | None = None) -> dict[str, Any]:
    destination = {"host": host} | ({"subset": subset} if subset else {})
    return {"destination": destination} | ({} if weight is None else {"weight": weight})


def shop(*http: dict[str, Any]) -> Object:
    return {
        "metadata": {"name": "shop", "annotations": {"owner": "shop"}},
        "spec": {"hosts": ["shop"], "http": [*http]},
    }


PLAIN = shop(
    {"name": "users", "match": [{"uri": {"prefix": "/users"}}], "route": [to("users")]},
    {"name": "beta", "match": [{"uri": {"prefix": "/beta"}}], "route": [to("trip", "beta", 50), to("trip", "", 50)]},
    {"name": "trips", "route": [to("trip.test.svc.cluster.local")], "timeout": "5s"},
)
NAMED = shop(
    {"name": "testers", "match": [{"headers": {"x": {"exact": "y"}}}], "route": [to("trip", "v2")]},
    {"name": "trips", "route": [to("trip", "v1", 100), to("trip", "v2", 0)]},
)
FORMS = {"no subsets": (part(), PLAIN), "the user's own subsets": (part(stable="v1", canary="v2"), NAMED)}


def state(canary: float, *, preview: bool = False) -> TrafficState:
    raw = {"match": HEADERS} if preview else {}
    weights: dict[Any, float] = {"stable": 100 - canary, "canary": canary}
    return TrafficState(weights=weights, preview_to="canary" if preview else None, raw=raw)


def written(mine: SubsetPart, there: Object, wish: TrafficState) -> Object:
    introduced = patched(there, mine.introduce(there, wish))
    assert mine.read(introduced).weights == mine.read(there).weights, "introducing a backend changes no weight"
    moved = patched(introduced, mine.patch(introduced, wish, linger=True))
    return patched(moved, mine.patch(moved, wish))


def destinations(there: Object, name: str) -> list[tuple[str, int | None]]:
    rule = next(rule for rule in there["spec"]["http"] if rule.get("name") == name)
    return [(entry["destination"].get("subset", ""), entry.get("weight")) for entry in rule["route"]]


@pytest.mark.parametrize("form", FORMS)
def test_whatever_was_written_what_was_there_comes_back_to_the_letter(form: str) -> None:
    mine, before = FORMS[form]
    baseline, there = mine.read(before), before
    for wish in (state(0), state(0, preview=True), state(5, preview=True), state(33.33), state(100), state(0)):
        there = written(mine, there, wish)
        found = {backend: weight for backend, weight in mine.read(there).weights.items() if weight}
        assert found == {backend: weight for backend, weight in wish.weights.items() if weight}
        assert mine.is_pinned(there)
        assert there != before
    assert written(mine, there, TrafficState(weights={"stable": 100})) == before
    assert written(mine, there, baseline) == before


def test_before_the_first_canary_pod_users_are_led_to_the_stable_subset_alone() -> None:
    mine = part()
    there = written(mine, PLAIN, state(0))
    assert destinations(there, "trips") == [(mine.view.stable, None)]
    assert destinations(there, "beta") == [("beta", 50), (mine.view.stable, 50)]
    assert destinations(there, "users") == [("", None)]


def test_weights_are_written_as_subsets_of_the_same_host() -> None:
    mine = part()
    there = written(mine, PLAIN, state(5))
    assert destinations(there, "trips") == [(mine.view.stable, 95), (mine.view.canary, 5)]
    hosts = {entry["destination"]["host"] for entry in there["spec"]["http"][-1]["route"]}
    assert hosts == {"trip.test.svc.cluster.local"}


def test_a_header_leads_to_the_canarys_subset_and_the_users_own_route_there_stays() -> None:
    mine = part(stable="v1", canary="v2")
    there = written(mine, NAMED, state(0, preview=True))
    own, front, last = there["spec"]["http"]
    assert (front["match"], front["route"]) == ([{"headers": {"canary": {"exact": "true"}}}], [to("trip", "v2", 100)])
    assert (own, last) == tuple(NAMED["spec"]["http"])


def test_destinations_that_name_the_subset_only_here_and_there_are_refused() -> None:
    mixed = shop({"route": [to("trip", "v1")]}, {"route": [to("trip")]})
    with pytest.raises(Rejected, match="name it in all of them or in none"):
        part(stable="v1", canary="v2").patch(mixed, state(0))


def test_a_subset_that_somebody_takes_out_of_a_route_stops_the_release_and_not_its_undo() -> None:
    mine = part()
    there = written(mine, PLAIN, state(10))
    there["spec"]["http"][1]["route"][1]["destination"].pop("subset")
    with pytest.raises(ForeignChange, match="and one has none; somebody else changed it"):
        mine.patch(there, state(50))
    assert patched(there, mine.patch(there, TrafficState(weights={"stable": 100}), insist=True)) == PLAIN


BEFORE: dict[str, Any] = {
    "without subsets": {"host": "trip"},
    "with somebody else's": {"host": "trip", "subsets": [{"name": "beta", "labels": {"track": "beta"}}]},
    "with both": {
        "host": "trip",
        "subsets": [
            {"name": "canary", "labels": {"version": "v2"}, "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
            {"name": "stable", "labels": {"version": "v1"}},
        ],
    },
}


@pytest.mark.parametrize("form", BEFORE)
def test_subsets_follow_the_pods_and_come_back_to_the_letter(form: str) -> None:
    before = {"metadata": {"name": "shop", "annotations": {"owner": "shop"}}, "spec": BEFORE[form]}
    there: Object = before
    for name in ("aaa", "bbb"):
        labels = {"stable": {"pod-template-hash": name}, "canary": canary_labels(KEY)}
        there = patched(there, pointed(there, KEY, labels, insist=False))
        assert not pointed(there, KEY, labels, insist=False)
        found = {entry["name"]: entry for entry in there["spec"]["subsets"]}
        assert {name: found[name]["labels"] for name in labels} == labels
        policies = [entry.get("trafficPolicy") for entry in BEFORE[form].get("subsets", ())]
        assert all(policy in [entry.get("trafficPolicy") for entry in found.values()] for policy in policies)
    assert patched(there, restored(there, KEY)) == before
    assert not restored(before, KEY)


def test_a_subset_that_somebody_else_points_elsewhere_stops_the_release_and_not_its_undo() -> None:
    before = {"metadata": {"name": "shop", "annotations": {"owner": "shop"}}, "spec": BEFORE["with both"]}
    labels = {"stable": {"pod-template-hash": "aaa"}, "canary": canary_labels(KEY)}
    there = patched(before, pointed(before, KEY, labels, insist=False))
    there["spec"]["subsets"][1]["labels"] = {"version": "v9"}
    with pytest.raises(ForeignChange, match="subset stable was written as .* somebody else changed it"):
        pointed(there, KEY, labels, insist=False)
    assert patched(there, restored(there, KEY)) == before


def test_where_routes_are_named_the_others_still_lead_to_the_stable_pods_alone() -> None:
    mine = part()
    named = replace(mine, part=replace(mine.part, routes=("trips",)))
    there = written(named, PLAIN, state(5))
    assert destinations(there, "trips") == [(mine.view.stable, 95), (mine.view.canary, 5)]
    assert destinations(there, "beta") == [("beta", 50), (mine.view.stable, 50)]
    assert written(named, there, TrafficState(weights={"stable": 100})) == PLAIN
