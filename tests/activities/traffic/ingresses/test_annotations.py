"""What ingress-nginx is told: whole numbers of a total, one header, and what it does not inherit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.traffic.ingresses.annotations import PREFIX, canary_annotations, is_canary, told, weight
from tests.activities.traffic.ingresses.objects import ingress
from workflows.model.target import TrafficState


def asked(canary: float, *, own: dict[str, str] | None = None, **raw: Any) -> dict[str, str]:
    state = TrafficState(weights={"stable": 100 - canary, "canary": canary}, raw=raw)
    made = canary_annotations(ingress(annotations=own), state)
    return {name.removeprefix(PREFIX): value for name, value in made.items()}


@pytest.mark.parametrize(
    ("percent", "written"),
    [
        (0, {"canary": "true", "canary-weight": "0"}),
        (5, {"canary": "true", "canary-weight": "5"}),
        (100, {"canary": "true", "canary-weight": "100"}),
        (0.5, {"canary": "true", "canary-weight": "5", "canary-weight-total": "1000"}),
        (33.33, {"canary": "true", "canary-weight": "3333", "canary-weight-total": "10000"}),
    ],
)
def test_a_percentage_is_a_whole_number_of_the_smallest_total(percent: float, written: dict[str, str]) -> None:
    assert asked(percent) == written


@given(st.integers(0, 10_000))
def test_every_weight_that_a_document_can_say_is_read_back(hundredths: int) -> None:
    percent = hundredths / 100
    state = TrafficState(weights={"stable": 100 - percent, "canary": percent})
    assert weight(ingress(annotations=canary_annotations(ingress(), state))) == percent


def test_a_header_is_matched_by_its_value() -> None:
    found = asked(5, match=[{"header": "X-Canary", "exact": "yes"}])
    assert (found["canary-by-header"], found["canary-by-header-value"]) == ("X-Canary", "yes")


def test_load_balancing_and_sessions_are_those_of_the_users_ingress() -> None:
    own = {
        f"{PREFIX}{name}": value
        for name, value in {
            "affinity": "cookie",
            "affinity-canary-behavior": "legacy",
            "session-cookie-name": "shop",
            "load-balance": "ewma",
            "upstream-hash-by": "$remote_addr",
        }.items()
    }
    inherited = {
        f"{PREFIX}rewrite-target": "/",
        f"{PREFIX}proxy-body-size": "8m",
        "argocd.argoproj.io/tracking-id": "x",
    }
    found = asked(5, own=own | inherited)
    assert found.keys() == {name.removeprefix(PREFIX) for name in own} | {"canary", "canary-weight"}


@pytest.mark.parametrize(
    ("annotations", "percent"),
    [
        ({}, 0),
        ({"canary-weight": "30", "canary-weight-total": "60"}, 30),
        ({"canary-weight": "300"}, 100),
        ({"canary-weight": "-5"}, 0),
        ({"canary-weight": "much"}, 100),
    ],
    ids=["nothing", "a total below 100, which counts as 100", "too much", "less than nothing", "no number"],
)
def test_what_somebody_else_wrote_is_read_as_ingress_nginx_does(annotations: dict[str, str], percent: float) -> None:
    assert weight(ingress(annotations={f"{PREFIX}{key}": value for key, value in annotations.items()})) == percent


def test_only_what_says_so_is_a_canary() -> None:
    assert not is_canary(ingress())
    assert not is_canary(ingress(annotations={f"{PREFIX}canary": "false"}))
    assert is_canary(ingress(annotations={f"{PREFIX}canary": "true"}))
    assert told(ingress(annotations={f"{PREFIX}canary": "true"})) == {f"{PREFIX}canary": "true"}
