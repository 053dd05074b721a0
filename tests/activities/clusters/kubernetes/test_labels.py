"""Which pods a selector means, and how a copy's pods stay out of all of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.clusters.kubernetes.labels import apart, beside, canary_labels, matches, selector_text
from workflows.errors import Unsupported

POD = {"app": "trip", "tier": "web"}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "is_match"),
    [
        ({}, True),
        ({"matchLabels": {"app": "trip"}}, True),
        ({"matchLabels": {"app": "trip", "tier": "db"}}, False),
        (expression("app", "In", "trip", "user"), True),
        (expression("app", "In", "user"), False),
        (expression("app", "NotIn", "trip"), False),
        (expression("zone", "NotIn", "a"), True),
        (expression("app", "Exists"), True),
        (expression("zone", "Exists"), False),
        (expression("zone", "DoesNotExist"), True),
    ],
)
def test_a_selector_means_what_kubernetes_says(selector: dict[str, Any], is_match: bool) -> None:
    assert matches(selector, POD) is is_match


def test_a_selector_is_asked_for_in_the_words_of_a_query() -> None:
    selector = {"matchLabels": {"tier": "web", "app": "trip"}} | expression("zone", "NotIn", "a", "b")
    assert selector_text(selector) == "app=trip,tier=web,zone notin (a,b)"
    assert selector_text(expression("zone", "Exists")) == "zone"
    assert selector_text(expression("zone", "DoesNotExist")) == "!zone"


def test_one_label_is_changed_where_one_is_enough() -> None:
    assert apart("trip", POD, [{"matchLabels": POD}, {"matchLabels": {"app": "trip"}}]) == {"app": "trip-canary"}


def test_the_label_is_changed_that_the_service_selects_by() -> None:
    assert apart("trip", POD, [{"matchLabels": POD}, {"matchLabels": {"tier": "web"}}]) == {"tier": "trip-canary"}


def test_more_labels_are_changed_where_no_single_one_is_in_every_selector() -> None:
    selectors = [{"matchLabels": {"app": "trip"}}, {"matchLabels": {"tier": "web"}}]
    assert apart("trip", POD, selectors) == {"app": "trip-canary", "tier": "trip-canary"}


def test_a_selector_that_takes_every_value_is_refused() -> None:
    with pytest.raises(Unsupported, match="no label of the pods of trip"):
        apart("trip", POD, [expression("app", "Exists")])


def test_a_shared_service_goes_on_selecting_both_while_the_deployment_does_not() -> None:
    shared, own = {"matchLabels": {"app": "trip"}}, {"matchLabels": POD}
    assert beside("trip", POD, shared, [own, {"matchLabels": {"tier": "web"}}]) == {"tier": "trip-canary"}


def test_no_label_is_changed_where_the_shared_service_means_them_all() -> None:
    assert beside("trip", POD, {"matchLabels": POD}, [{"matchLabels": POD}]) == {}


def test_a_long_name_still_makes_a_label_value() -> None:
    [value] = apart("a" * 63, POD, [{"matchLabels": {"app": "trip"}}]).values()
    assert len(value) <= 63
    assert value.endswith("-canary")


@given(st.data(), st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"), min_size=1))
def test_a_copy_is_never_selected_by_what_selects_the_original(data: st.DataObject, labels: dict[str, str]) -> None:
    keys = data.draw(st.lists(st.sets(st.sampled_from(sorted(labels)), min_size=1), min_size=1, max_size=4))
    reached = [{"matchLabels": {key: labels[key] for key in chosen}} for chosen in keys]
    changed = labels | apart("trip", labels, reached) | canary_labels("key")
    assert not any(matches(selector, changed) for selector in reached)
