from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from activities.clusters.local.state import Instance, Wish
from activities.workloads.replacement import Change, decide
from tests.activities.world import a_template

NEW = a_template("new").digest
OLD = a_template("old").digest
NOW = 1000.0


def an_instance(token: str, digest: str = NEW, *, ready: bool = True, draining: bool = False) -> Instance:
    return Instance(
        token=token,
        slot="stable",
        digest=digest,
        version="",
        program="demo",
        port=1,
        created_at=0,
        ready_since=0 if ready else None,
        draining_since=1 if draining else None,
    )


def a_wish(replicas: int, surge: int = 1, unavailable: int = 0) -> Wish:
    return Wish(template=a_template("new"), replicas=replicas, max_surge=surge, max_unavailable=unavailable)


def change(wish: Wish | None, *instances: Instance) -> Change:
    return decide(wish, instances, now=NOW, propagation=0.3)


def test_an_empty_slot_is_filled_at_once() -> None:
    assert change(a_wish(3)) == Change(start=3)


def test_a_slot_that_has_what_it_wants_is_left_alone() -> None:
    assert change(a_wish(1), an_instance("a")) == Change()


def test_nothing_wanted_drains_everything() -> None:
    assert change(None, an_instance("a"), an_instance("b", ready=False)).drain == ("a", "b")


def test_the_surge_starts_before_an_old_one_leaves() -> None:
    olds = [an_instance("a", OLD), an_instance("b", OLD)]
    assert change(a_wish(2), *olds) == Change(start=1)
    assert change(a_wish(2), *olds, an_instance("n", ready=False)) == Change()
    assert change(a_wish(2), *olds, an_instance("n")) == Change(drain=("a",))


def test_without_surge_an_old_one_leaves_first() -> None:
    olds = [an_instance("a", OLD), an_instance("b", OLD)]
    assert change(a_wish(2, surge=0, unavailable=1), *olds) == Change(drain=("a",))


def test_no_room_above_or_below_still_replaces() -> None:
    assert change(a_wish(1, surge=0, unavailable=0), an_instance("a", OLD)) == Change(start=1)


def test_an_old_one_that_serves_nobody_leaves_first() -> None:
    olds = [an_instance("a", OLD), an_instance("sick", OLD, ready=False)]
    assert change(a_wish(2), *olds).drain == ("sick",)


def test_an_endpoint_that_routers_may_not_know_yet_replaces_nobody() -> None:
    fresh = an_instance("n")
    fresh.ready_since = NOW - 0.1
    assert change(a_wish(1), an_instance("a", OLD), fresh) == Change()


def test_a_smaller_wish_keeps_those_that_serve() -> None:
    assert change(a_wish(1), an_instance("a", ready=False), an_instance("b")).drain == ("a",)


def test_those_that_drain_are_past_deciding() -> None:
    assert change(a_wish(1), an_instance("a"), an_instance("d", draining=True)) == Change()


instances = st.lists(
    st.tuples(st.sampled_from([NEW, OLD]), st.booleans(), st.booleans()).map(
        lambda made: (made[0], {"ready": made[1], "draining": made[2]})
    ),
    max_size=8,
).map(lambda made: [an_instance(str(n), digest, **rest) for n, (digest, rest) in enumerate(made)])


@given(instances=instances, replicas=st.integers(1, 5), surge=st.integers(0, 3), unavailable=st.integers(0, 3))
def test_replacing_never_costs_availability_nor_exceeds_the_surge(
    instances: list[Instance], replicas: int, surge: int, unavailable: int
) -> None:
    found = change(a_wish(replicas, surge, unavailable), *instances)
    staying = [i for i in instances if not i.is_draining]
    serving = {i.token for i in staying if i.is_published}
    lost = serving & set(found.drain)
    if lost:
        assert len(serving - lost) >= replicas - unavailable
    if found.start:
        assert len(staying) + found.start <= replicas + max(surge, 0 if surge or unavailable else 1)


@given(instances=instances, replicas=st.integers(0, 5), surge=st.integers(0, 3), unavailable=st.integers(0, 3))
def test_every_replacement_comes_to_its_end(
    instances: list[Instance], replicas: int, surge: int, unavailable: int
) -> None:
    wish = a_wish(replicas, surge, unavailable)
    world = {i.token: i for i in instances}
    for step in range(60):
        found = change(wish, *sorted(world.values(), key=lambda i: i.created_at))
        for token in found.drain:
            world[token].draining_since = NOW
        for token in [t for t, i in world.items() if i.is_draining and t not in found.drain]:
            del world[token]
        for instance in world.values():
            instance.ready_since = 0
        for number in range(found.start):
            world[f"{step}.{number}"] = an_instance(f"{step}.{number}", ready=False)
    assert [i.digest for i in world.values()] == [NEW] * replicas
