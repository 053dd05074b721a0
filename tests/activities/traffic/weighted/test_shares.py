"""Shares of a list: whole numbers that keep everybody's proportions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.traffic.weighted.shares import Ref, divided, percents
from workflows.model.target import Backend

SERVICES: dict[Backend, str] = {"stable": "trip", "canary": "trip-canary", "maintenance": "trip-maintenance"}
LIMIT = 1_000_000


def plain(weights: Any) -> list[int]:
    return [1 if weight is None else weight for weight in weights]


def shares(before: list[Ref], **weights: float) -> dict[str, int]:
    wanted: Any = weights
    found = divided(before, SERVICES, wanted, effective=plain, limit=LIMIT)
    return {f"{service}:{rest}" if rest else service: weight for (service, rest), weight in found.items() if weight}


@pytest.mark.parametrize(
    ("canary", "written"),
    [
        (5, {"trip": 95, "trip-canary": 5}),
        (0.5, {"trip": 995, "trip-canary": 5}),
        (33.33, {"trip": 6667, "trip-canary": 3333}),
        (100, {"trip-canary": 100}),
    ],
)
def test_a_list_of_our_own_is_written_in_percent(canary: float, written: dict[str, int]) -> None:
    assert shares([Ref("trip", "", 1)], stable=100 - canary, canary=canary) == written


def test_foreign_backends_keep_their_proportions() -> None:
    before = [Ref("trip", "80", 30), Ref("other", "80", 70)]
    assert shares(before, stable=90, canary=10) == {"trip:80": 27, "trip-canary:80": 3, "other:80": 70}
    assert shares(before, stable=95, canary=5) == {"trip:80": 285, "trip-canary:80": 15, "other:80": 700}


def test_each_reference_to_the_stable_service_is_divided_where_it_is() -> None:
    before = [Ref("trip", "80", 10), Ref("trip", "81", 20)]
    assert shares(before, stable=50, canary=50) == {
        "trip:80": 5,
        "trip-canary:80": 5,
        "trip:81": 10,
        "trip-canary:81": 10,
    }


def test_a_share_that_no_weight_expresses_is_rounded_down_for_the_canary() -> None:
    before = [Ref("trip", "", 999_999), Ref("other", "", 1)]
    assert shares(before, stable=99.99, canary=0.01)["trip-canary"] == 99


@settings(deadline=None)
@given(
    ours=st.integers(1, 1000),
    other=st.integers(0, 1000),
    hundredths=st.integers(0, 10_000),
)
def test_the_component_keeps_its_share_of_the_list(ours: int, other: int, hundredths: int) -> None:
    canary = hundredths / 100
    weights: dict[Backend, float] = {"stable": 100 - canary, "canary": canary}
    before = [Ref("trip", "", ours), Ref("other", "", other)]
    found = divided(before, SERVICES, weights, effective=plain, limit=LIMIT)
    mine, theirs = found["trip", ""] + found["trip-canary", ""], found["other", ""]
    assert max(found.values()) <= LIMIT
    assert mine * other == theirs * ours
    after = [Ref(service, rest, weight) for (service, rest), weight in found.items()]
    assert percents(after, SERVICES, plain).get("canary", 0) == pytest.approx(canary, abs=0.1)
