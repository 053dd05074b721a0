"""What a router writes into a route object, and that nothing of it is left."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.patch import patched
from activities.traffic.gateway_api import GATEWAY_API
from activities.traffic.weighted.edits import Part
from activities.traffic.weighted.lists import dumped
from activities.traffic.weighted.shares import BACKENDS
from workflows.errors import ForeignChange, Rejected
from workflows.model.target import Backend, TrafficState

HEADERS = [{"header": "canary", "exact": "true"}]


def part(service: str = "trip") -> Part:
    services: dict[Backend, str] = {
        "stable": service,
        "canary": f"{service}-canary",
        "maintenance": f"{service}-maintenance",
    }
    return Part(GATEWAY_API, "test", services, f"local/test/kubernetes/{service}", "HTTPRoute test/shop")


def ref(name: str, weight: int = 1, **more: Any) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight, **more}


def rule(*refs: dict[str, Any], path: str = "/", **more: Any) -> dict[str, Any]:
    return {"backendRefs": list(refs), "matches": [{"path": {"type": "PathPrefix", "value": path}}], **more}


def route(*rules: dict[str, Any], **annotations: str) -> Object:
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"}
    return {
        "metadata": {"name": "shop", "namespace": "test", "annotations": {"owner": "shop", **annotations}},
        "spec": {"parentRefs": [parent], "hostnames": ["shop.example.com"], "rules": list(rules)},
    }


def state(canary: float, *, preview: bool = False, **more: float) -> TrafficState:
    weights: dict[Any, float] = {"stable": 100 - canary - sum(more.values()), "canary": canary, **more}
    if not preview:
        return TrafficState(weights=weights)
    return TrafficState(weights=weights, preview_to="canary", raw={"match": HEADERS, "preview": "next.example.com"})


def written(there: Object, wish: TrafficState, *, service: str = "trip", insist: bool = False) -> Object:
    """The object after the patches of a write."""
    mine = part(service)
    introduced = patched(there, mine.introduce(there, wish))
    assert mine.read(introduced) == mine.read(there), "introducing a backend changes no weight"
    moved = patched(introduced, mine.patch(introduced, wish, insist=insist, linger=True))
    assert all(mine.refers_to(moved, b) for b in BACKENDS if mine.refers_to(introduced, b)), "nobody is forgotten yet"
    assert sent(mine.read(moved)) == sent(wish), "users follow with the first patch"
    return patched(moved, mine.patch(moved, wish, insist=insist))


def sent(told: TrafficState) -> dict[Backend, float]:
    return {backend: weight for backend, weight in told.weights.items() if weight}


def weights(there: Object, index: int = 0) -> dict[str, int]:
    return {entry["name"]: entry["weight"] for entry in there["spec"]["rules"][index]["backendRefs"]}


SHOP = route(
    rule(ref("trip", 30, filters=[{"type": "RequestHeaderModifier"}]), ref("other", 70), path="/trips"),
    rule(ref("users"), path="/users", filters=[{"type": "URLRewrite"}]),
    rule(ref("trip"), timeouts={"request": "5s"}),
    rule({**ref("trip"), "namespace": "elsewhere"}, path="/elsewhere"),
)


def test_weights_go_beside_the_stable_entry_and_foreign_ones_keep_place_and_proportion() -> None:
    there = written(SHOP, state(10))
    assert list(weights(there).items()) == [("trip", 27), ("trip-canary", 3), ("other", 70)]
    assert there["spec"]["rules"][0]["backendRefs"][1]["filters"] == [{"type": "RequestHeaderModifier"}]
    assert weights(there, 2) == {"trip": 90, "trip-canary": 10}
    assert there["spec"]["rules"][2]["timeouts"] == {"request": "5s"}
    assert [there["spec"]["rules"][i] for i in (1, 3)] == [SHOP["spec"]["rules"][i] for i in (1, 3)]


def test_what_was_written_is_read_back_to_the_letter() -> None:
    there = written(SHOP, state(33.33))
    assert part().read(there) == state(33.33)
    assert written(there, state(33.33)) == there
    assert part().patch(there, state(33.33)) == []


def test_a_header_match_leads_directly_in_front_of_each_rule_of_ours() -> None:
    """Where the first rule that fits decides, one in front of all would take requests from rules of others."""
    there = written(SHOP, state(0, preview=True))
    first, trips, users, third, rest, elsewhere = there["spec"]["rules"]
    assert [trips, users, rest, elsewhere] == SHOP["spec"]["rules"]
    fronts = [first, third]
    assert [entry["name"] for front in fronts for entry in front["backendRefs"]] == ["trip-canary"] * 2
    header = {"type": "Exact", "name": "canary", "value": "true"}
    assert fronts[0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/trips"}, "headers": [header]}]
    assert part().patch(there, state(0, preview=True)) == []
    assert written(there, state(0)) == SHOP


OWN = rule(ref("trip-canary"), path="/own")


@pytest.mark.parametrize("preview", [False, True])
def test_a_rule_of_its_owner_that_leads_to_the_canary_alone_stays(*, preview: bool) -> None:
    before = route(OWN, *SHOP["spec"]["rules"])
    there = written(before, state(10, preview=preview))
    assert there["spec"]["rules"].count(OWN) == 1
    assert part().patch(there, state(10, preview=preview), linger=True) == []
    assert written(there, state(0)) == before
    assert part().patch(before, state(0), linger=True) == []


def test_a_rule_of_its_owner_for_the_same_header_is_the_only_one() -> None:
    own = written(SHOP, state(0, preview=True))["spec"]["rules"][3] | {"backendRefs": [ref("trip-canary")]}
    before = route(own, rule(ref("trip")))
    there = written(before, state(10, preview=True))
    assert (there["spec"]["rules"][0], len(there["spec"]["rules"])) == (own, 2)
    assert written(there, state(0)) == before


def test_header_rules_of_an_older_version_are_taken_away() -> None:
    there = written(SHOP, state(10, preview=True))
    record = part().record(there)
    assert record
    there["metadata"]["annotations"][part().annotation] = dumped(record.model_copy(update={"fronts": None}))
    assert written(there, state(0)) == SHOP


def test_a_preview_host_gets_a_route_of_its_own() -> None:
    there = written(SHOP, state(10, preview=True))
    body = part().companion(there, state(10, preview=True))
    assert body
    assert body["spec"]["hostnames"] == ["next.example.com"]
    assert body["spec"]["parentRefs"] == SHOP["spec"]["parentRefs"]
    assert [[e["name"] for e in r["backendRefs"]] for r in body["spec"]["rules"]] == [["trip-canary"]] * 2
    assert body["spec"]["rules"][1]["timeouts"] == {"request": "5s"}
    assert part().companion(there, state(10)) is None


def test_maintenance_takes_everything() -> None:
    there = written(SHOP, TrafficState(weights={"maintenance": 100}))
    assert weights(there) == {"trip": 0, "trip-maintenance": 30, "other": 70}
    assert written(there, state(0)) == SHOP


def test_a_rule_that_sends_us_nothing_stays_as_it_is() -> None:
    there = route(rule(ref("trip"), path="/a"), rule(ref("trip", 0), ref("other", 1), path="/b"))
    assert weights(written(there, state(50)), 1) == {"trip": 0, "other": 1}


def test_a_component_that_got_nothing_anywhere_can_be_opened() -> None:
    there = route(rule(ref("trip", 0)))
    before = part().read(there)
    assert before.weights == {}
    opened = written(there, TrafficState(weights={"stable": 100}))
    assert part().read(opened).weights == {"stable": 100}
    assert written(opened, before) == there


def test_a_route_that_does_not_lead_to_the_component_is_refused() -> None:
    with pytest.raises(Rejected, match="HTTPRoute test/shop has no rule that leads to Service trip"):
        part().read(route(rule(ref("users"))))


def test_two_components_of_one_route_stay_apart() -> None:
    there = route(rule(ref("trip"), path="/trips"), rule(ref("users"), path="/users"))
    both = written(written(there, state(10)), state(25, preview=True), service="users")
    assert weights(both, 0) == {"trip": 90, "trip-canary": 10}
    only = written(both, state(0))
    assert weights(only, 0) == {"trip": 1}
    assert weights(only, 2) == {"users": 75, "users-canary": 25}
    assert written(only, state(0), service="users") == there


def test_a_rule_that_moved_between_read_and_write_is_not_hit_by_its_number() -> None:
    operations = part().patch(SHOP, state(10))
    moved = copy.deepcopy(SHOP)
    moved["spec"]["rules"].insert(0, rule(ref("new"), path="/new"))
    with pytest.raises(ValueError, match="/spec/rules/"):
        patched(moved, operations)
    assert weights(written(moved, state(10)), 1)["trip-canary"] == 3


def test_a_weight_that_somebody_else_wrote_is_named() -> None:
    there = written(SHOP, state(10))
    there["spec"]["rules"][2]["backendRefs"][0]["weight"] = 50
    assert part().read(there).weights == {"stable": 83.33, "canary": 16.67}
    field = "/spec/rules/2/backendRefs"
    sentence = f"{field} was written as trip 90, trip-canary 10 and is trip 50, trip-canary 10; somebody else"
    with pytest.raises(ForeignChange, match=sentence) as raised:
        part().patch(there, state(25))
    assert raised.value.field.endswith(field)


@pytest.mark.parametrize("edit", ["deleted", "for another header", "to the stable Service too"])
def test_a_rule_for_a_header_that_somebody_else_changes_is_named(edit: str) -> None:
    there = written(route(A, B), state(0, preview=True))
    front = there["spec"]["rules"][0]
    if edit == "deleted":
        del there["spec"]["rules"][0]
    elif edit == "for another header":
        front["matches"][0]["headers"][0]["value"] = "never"
    else:
        front["backendRefs"].append(ref("users"))
    with pytest.raises(ForeignChange, match="the rules for its headers were 2 and are 1; somebody else changed it"):
        part().refuse_foreign(there, "look")
    taken = written(there, state(0, preview=True), insist=True)
    part().refuse_foreign(taken, "look")


def test_an_undo_goes_over_a_foreign_change() -> None:
    before = part().read(SHOP)
    there = written(SHOP, state(10))
    there["spec"]["rules"][0]["backendRefs"][1]["weight"] = 500
    assert written(there, before, insist=True) == SHOP


def test_fields_that_their_owner_changes_meanwhile_stay_changed() -> None:
    there = written(SHOP, state(10))
    there["spec"]["rules"][0]["backendRefs"][2]["filters"] = [{"type": "Late"}]
    there["spec"]["rules"].append(rule(ref("late"), path="/late"))
    home = written(there, part().read(SHOP))
    assert home["spec"]["rules"][0]["backendRefs"][1] == ref("other", 70, filters=[{"type": "Late"}])
    assert home["spec"]["rules"][:1] != SHOP["spec"]["rules"][:1]
    assert home["spec"]["rules"][4:] == [rule(ref("late"), path="/late")]


A, B = rule(ref("trip"), path="/a"), rule(ref("trip", 30), ref("other", 70), path="/b")
NEW = rule(ref("trip", 5), path="/new")


def edited(*rules: dict[str, Any], by: TrafficState) -> Object:
    """A route of A and B in mid-release whose rules somebody makes these; A and B stay as they were written."""
    there = written(route(A, B), by)
    now = {str(entry["matches"]): entry for entry in there["spec"]["rules"]}
    there["spec"]["rules"] = [now.get(str(entry["matches"]), entry) for entry in rules]
    return there


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ([B], "were 2 and are 1;"),
        ([NEW, A, B], "were 2 and are 3, 1 of them new;"),
        ([NEW, B], "were 2 and are 2, 1 of them new;"),
    ],
    ids=["gone", "more", "another"],
)
def test_a_rule_gets_the_weights_back_that_were_its_own_or_stays(rules: list[dict[str, Any]], sentence: str) -> None:
    """Whatever place it has now: a list of weights is never written to a rule that it was not taken from."""
    before, there = part().read(route(A, B)), edited(*rules, by=state(10))
    with pytest.raises(ForeignChange, match=f"the rules that lead to this component {sentence} somebody else"):
        part().patch(there, state(20))
    assert written(there, before, insist=True)["spec"]["rules"] == rules
    taken = written(there, state(20), insist=True)
    assert part().read(taken) == state(20)
    part().refuse_foreign(taken, "write")
    alone = [rule(ref("trip", 100), path="/new") if wanted is NEW else wanted for wanted in rules]
    assert written(taken, before)["spec"]["rules"] in (rules, alone)


def test_rules_may_change_their_places() -> None:
    before, there = part().read(route(A, B)), edited(B, A, by=state(10))
    part().refuse_foreign(there, "look")
    assert written(there, before) == route(B, A)


def test_a_rule_that_asks_for_other_requests_keeps_its_weights() -> None:
    before, there = part().read(route(A, B)), edited(A, B, by=state(10))
    there["spec"]["rules"][1]["matches"] = NEW["matches"]
    assert written(there, state(20))["spec"]["rules"][1]["backendRefs"][1]["weight"] == 6
    assert written(there, before)["spec"]["rules"] == [A, B | {"matches": NEW["matches"]}]


def test_a_copy_of_a_rule_leads_to_the_stable_service_in_the_end() -> None:
    before, there = part().read(route(A, B)), edited(A, B, by=state(100))
    there["spec"]["rules"].append(there["spec"]["rules"][1] | {"matches": NEW["matches"]})
    home = written(there, before, insist=True)["spec"]["rules"]
    assert home == [A, B, rule(ref("trip", 30), ref("other", 70), path="/new")]


def test_what_an_older_version_noted_is_taken_by_place_while_no_rule_came_or_went() -> None:
    before, there = part().read(route(A, B)), edited(A, B, by=state(10))
    before.raw.pop("identities")
    notes = there["metadata"]["annotations"]
    record = part().record(there)
    assert record
    notes[part().annotation] = dumped(record.model_copy(update={"identities": ()}))
    assert written(there, before) == route(A, B)
    del there["spec"]["rules"][0]
    assert written(there, before, insist=True) == route(B)


names = st.sampled_from(["trip", "users", "other", "more"])
entries = st.lists(st.tuples(names, st.integers(0, 100)), min_size=1, max_size=4, unique_by=lambda entry: entry[0])
rules = st.lists(st.tuples(entries, st.sampled_from(["/", "/a", "/b"])), min_size=1, max_size=5)
wishes = st.builds(
    state, st.integers(0, 10_000).map(lambda hundredths: hundredths / 100), preview=st.booleans()
) | st.just(TrafficState(weights={"maintenance": 100}))


@settings(deadline=None)
@given(rules=rules, shifts=st.lists(wishes, max_size=6))
def test_any_sequence_of_shifts_is_undone_to_the_letter(rules: list[Any], shifts: list[TrafficState]) -> None:
    lists = [rule(*(ref(name, weight) for name, weight in entries), path=path) for entries, path in rules]
    original = there = route(*lists, rule(ref("trip"), path="/trips"))
    before = part().read(original)
    foreign = [r for r in lists if all(entry["name"] != "trip" for entry in r["backendRefs"])]
    for shift in shifts:
        there = written(there, shift)
        assert [r for r in there["spec"]["rules"] if r in foreign] == foreign
        read = part().read(there)
        assert sent(read) == sent(shift)
        assert read.preview_to == shift.preview_to
    assert written(there, before) == original
