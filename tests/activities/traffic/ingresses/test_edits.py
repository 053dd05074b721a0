"""What a switch writes into an Ingress, and that nothing of it is left."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.patch import patched
from activities.traffic.ingresses.edits import Switch
from tests.activities.traffic.ingresses.objects import SERVICES, SHOP, backend, ingress, path, rule, target
from workflows.errors import ForeignChange, Rejected, Unsupported
from workflows.model.target import Backend, TrafficState


def switch(**traffic: Any) -> Switch:
    return Switch(target(**traffic), SERVICES, "Ingress test/shop")


def everybody(backend: Backend, *, preview: bool = False) -> TrafficState:
    if not preview:
        return TrafficState(weights={backend: 100})
    return TrafficState(weights={backend: 100}, preview_to="canary", raw={"preview": "next.example.com"})


def written(there: Object, wish: TrafficState, *, insist: bool = False, **traffic: Any) -> Object:
    return patched(there, switch(**traffic).patch(there, wish, insist=insist))


def leading(there: Object) -> list[str]:
    """The Services by place: the default backend first."""
    spec = there["spec"]
    rules = [path for rule in spec["rules"] for path in rule.get("http", {}).get("paths", [])]
    return [spec["defaultBackend"]["service"]["name"], *(path["backend"]["service"]["name"] for path in rules)]


def test_every_rule_that_leads_to_the_service_is_switched_and_no_other() -> None:
    there = written(SHOP, everybody("canary"))
    assert leading(there) == ["trip-canary", "users", "trip-canary", "users", "trip-canary", "trip-canary"]
    assert there["spec"]["defaultBackend"] == backend("trip-canary", "http"), "the port stays as it is written"
    assert switch().read(there) == everybody("canary")
    assert written(there, everybody("stable")) == SHOP


@pytest.mark.parametrize(
    ("only", "switched"),
    [
        ({"path": "/api/trips"}, [False, True, False, True]),
        ({"host": "shop.example.com"}, [False, True, True, False]),
        ({"host": "*.example.org", "path": "/api/trips"}, [False, False, False, True]),
    ],
    ids=["path", "host", "both"],
)
def test_a_host_or_path_switches_its_rules_alone(only: dict[str, Any], switched: list[bool]) -> None:
    there = written(SHOP, everybody("canary"), **only)
    ours = [name for name in leading(there) if name != "users"]
    assert ours == ["trip-canary" if moved else "trip" for moved in switched]
    assert switch(**only).read(there) == everybody("canary")
    assert written(there, everybody("stable"), **only) == SHOP


def test_an_ingress_that_does_not_lead_to_the_component_is_refused() -> None:
    with pytest.raises(Rejected, match="Ingress test/shop has no rule that leads to Service trip$"):
        switch().read(ingress(rule(path("/", "users"))))
    sentence = "no rule that leads to Service trip for host a.example.com for path /b"
    with pytest.raises(Rejected, match=sentence):
        switch(host="a.example.com", path="/b").read(SHOP)


def test_a_part_of_the_users_is_refused() -> None:
    with pytest.raises(Unsupported, match="Ingress test/shop switches all users at once; it cannot give"):
        switch().patch(SHOP, TrafficState(weights={"stable": 50, "canary": 50}), insist=False)


def test_a_preview_is_noted_and_moves_nobody() -> None:
    there = written(SHOP, everybody("stable", preview=True))
    assert there["spec"] == SHOP["spec"]
    assert switch().read(there) == everybody("stable", preview=True)
    assert written(there, everybody("stable")) == SHOP


def test_a_rule_that_moved_between_read_and_write_is_not_hit_by_its_number() -> None:
    operations = switch().patch(SHOP, everybody("canary"), insist=False)
    moved = copy.deepcopy(SHOP)
    moved["spec"]["rules"].insert(0, rule(path("/new", "new")))
    with pytest.raises(ValueError, match="/spec/rules"):
        patched(moved, operations)


def test_a_backend_that_somebody_else_wrote_is_named_and_an_undo_goes_over_it() -> None:
    there = written(SHOP, everybody("canary"))
    there["spec"]["rules"][1]["http"]["paths"][0]["backend"]["service"]["name"] = "trip"
    sentence = r"shop.example.com/api/trips \(Prefix\) was written as trip-canary and is trip; somebody else changed it"
    with pytest.raises(ForeignChange, match=sentence):
        switch().patch(there, everybody("canary"), insist=False)
    assert switch().read(there).weights == {"canary": 100}, "most users are still away"
    assert written(there, everybody("stable"), insist=True) == SHOP


def test_a_rule_that_leads_elsewhere_now_stays_there() -> None:
    there = written(SHOP, everybody("canary"))
    there["spec"]["rules"][1]["http"]["paths"][2] = path("/trips", "new", "Exact")
    with pytest.raises(
        ForeignChange, match=r"/trips \(Exact\) was written as trip-canary and is not ours; somebody else"
    ):
        switch().patch(there, everybody("stable"), insist=False)
    home = written(there, everybody("stable"), insist=True)
    assert leading(home) == ["trip", "users", "trip", "users", "new", "trip"]
    assert home["metadata"] == SHOP["metadata"]


def test_rules_that_all_lead_elsewhere_are_a_foreign_change_too() -> None:
    there = written(ingress(rule(path("/", "trip"))), everybody("canary"))
    there["spec"]["rules"] = [rule(path("/", "new"))]
    with pytest.raises(ForeignChange, match=r"shop.example.com/ \(Prefix\) was written as trip-canary and is not ours"):
        switch().refuse_foreign(there, "look")


def test_two_components_of_one_ingress_stay_apart() -> None:
    users = Switch(
        target(service="users").model_copy(update={"workload": {"kind": "kubernetes", "deployment": "users"}}),
        {"stable": "users", "canary": "users-canary", "maintenance": "users-maintenance"},
        "Ingress test/shop",
    )
    trips = written(SHOP, everybody("canary"))
    both = patched(trips, users.patch(trips, everybody("maintenance"), insist=False))
    assert set(leading(both)) == {"trip-canary", "users-maintenance"}
    only = written(both, everybody("stable"))
    assert users.read(only) == everybody("maintenance")
    assert patched(only, users.patch(only, everybody("stable"), insist=False)) == SHOP


paths = st.builds(path, st.sampled_from(["/", "/a", "/b"]), st.sampled_from(["trip", "users", "other"]))
rules = st.lists(
    st.builds(
        lambda host, paths: rule(*paths, host=host),
        st.sampled_from(["", "a.example.com", "b.example.com"]),
        st.lists(paths, min_size=1, max_size=3, unique_by=lambda made: made["path"]),
    ),
    max_size=4,
)
wishes = st.builds(everybody, st.sampled_from(["stable", "canary", "maintenance"]), preview=st.booleans())


@settings(deadline=None)
@given(rules=rules, wishes=st.lists(wishes, max_size=5))
def test_any_sequence_of_switches_is_undone_to_the_letter(rules: list[Any], wishes: list[TrafficState]) -> None:
    original = there = ingress(*rules, defaultBackend=backend("trip"))
    for wish in wishes:
        there = written(there, wish)
        assert switch().read(there) == wish
        theirs = [name for name in leading(original) if name != "trip"]
        assert [name for name in leading(there) if not name.startswith("trip")] == theirs
    assert written(there, everybody("stable")) == original
