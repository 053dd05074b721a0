"""Whether a Service leads to the pods that it should, whichever families of addresses both have."""

from __future__ import annotations

import pytest

from activities.clusters.kubernetes.api import Object
from activities.traffic.weighted.services import lead_exactly_to


def pod(number: int) -> Object:
    return {"status": {"podIP": f"10.0.0.{number}", "podIPs": [{"ip": f"10.0.0.{number}"}, {"ip": f"fd00::{number}"}]}}


PODS = [pod(1), pod(2)]


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ({"10.0.0.1", "10.0.0.2"}, True),
        ({"10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"}, True),
        ({"fd00::1", "fd00::2"}, True),
        ({"fd00::1"}, False),
        ({"10.0.0.1", "fd00::1"}, False),
        ({"10.0.0.1", "10.0.0.2", "10.0.0.3"}, False),
        ({"10.0.0.1", "10.0.0.2", "fd00::3"}, False),
        (set(), False),
    ],
)
def test_endpoints_are_those_of_all_pods_and_of_nobody_else_in_any_family(
    endpoints: set[str], *, expected: bool
) -> None:
    assert lead_exactly_to(PODS, endpoints=endpoints) is expected


def test_without_pods_there_are_no_endpoints() -> None:
    assert lead_exactly_to([], endpoints=set())
    assert not lead_exactly_to([], endpoints={"10.0.0.1"})
