"""Patches name the fields they set and test what they replace."""

from __future__ import annotations

import pytest

from activities.clusters.kubernetes.patch import drop, entries, pointer, put, replace
from activities.clusters.kubernetes.patch import test as expect

HERE = {"metadata": {"annotations": {"a": "1"}}, "spec": {"rules": [{"weight": 5}]}}
ANNOTATIONS = ("metadata", "annotations")


def test_slashes_and_tildes_in_keys_are_escaped() -> None:
    assert pointer(("metadata", "annotations", "a/b~c", 0)) == "/metadata/annotations/a~1b~0c/0"


@pytest.mark.parametrize(
    ("wanted", "operations"),
    [
        ({"a": "1"}, []),
        ({"a": "2"}, [put((*ANNOTATIONS, "a"), "2")]),
        ({"b": "1"}, [put((*ANNOTATIONS, "b"), "1")]),
        ({"a": None}, [drop((*ANNOTATIONS, "a"))]),
        ({"b": None}, []),
    ],
    ids=["there already", "changed", "new", "dropped", "dropped already"],
)
def test_entries_of_a_map_are_set_and_dropped_one_by_one(
    wanted: dict[str, str | None], operations: list[dict[str, object]]
) -> None:
    assert entries(HERE, ANNOTATIONS, wanted) == operations


def test_a_map_that_is_not_there_is_made_whole() -> None:
    labels = ("metadata", "labels")
    assert entries(HERE, labels, {"a": "1"}) == [expect(labels, None), put(labels, {"a": "1"})]
    assert entries(HERE, labels, {"a": None}) == []


def test_a_field_is_replaced_only_while_it_is_what_was_read() -> None:
    weight = ("spec", "rules", 0, "weight")
    assert replace(HERE, weight, 10) == [expect(weight, 5), put(weight, 10)]
    assert replace(HERE, weight, 5) == []
    assert replace(HERE, ("spec", "rules", 7), 1) == [expect(("spec", "rules", 7), None), put(("spec", "rules", 7), 1)]
