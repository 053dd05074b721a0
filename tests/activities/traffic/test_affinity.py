"""What holds a user to one backend is found wherever a route, a Service or a policy says so."""

from __future__ import annotations

from typing import Any

import pytest

from activities.clusters.kubernetes.kinds import SERVICE
from activities.clusters.kubernetes.patch import put
from activities.traffic.affinity import of_destination_rules, of_rule, of_service
from tests.activities.traffic.conftest import SETUPS
from tests.activities.traffic.kubernetes import KubernetesWorld
from workflows.model.target import Target


def cookie(name: str) -> dict[str, Any]:
    return {"sticky": {"cookie": {"name": name}}}


SIGNS: dict[str, tuple[dict[str, Any], str]] = {
    "a session": ({"backendRefs": [], "sessionPersistence": {"type": "Cookie"}}, "sessionPersistence of the route"),
    "a cookie": ({"services": [], "loadBalancerPolicy": {"strategy": "Cookie"}}, "loadBalancerPolicy Cookie"),
    "a hash": ({"services": [], "loadBalancerPolicy": {"strategy": "RequestHash"}}, "loadBalancerPolicy RequestHash"),
    "a cookie between versions": ({"services": [{"name": "a"}], **cookie("shop")}, "sticky cookies of the route"),
    "a cookie of one Service": ({"services": [{"name": "a", **cookie("s")}]}, "sticky cookies of the route"),
    "another strategy": ({"services": [], "loadBalancerPolicy": {"strategy": "WeightedLeastRequest"}}, ""),
    "nothing": ({"backendRefs": [{"name": "a"}]}, ""),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_a_route_that_holds_users_is_told_from_one_that_does_not(sign: str) -> None:
    rule, words = SIGNS[sign]
    found = of_rule(rule, "services" if "services" in rule else "backendRefs")
    assert found.startswith(words)
    assert bool(found) is bool(words)


HASH = {"loadBalancer": {"consistentHash": {"httpCookie": {"name": "user", "ttl": "0s"}}}}
POLICIES: dict[str, tuple[dict[str, Any], bool]] = {
    "of the host": ({"trafficPolicy": HASH}, True),
    "of a port": ({"trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, **HASH}]}}, True),
    "of a subset": ({"subsets": [{"name": "v1", "trafficPolicy": HASH}]}, True),
    "another": ({"trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}}, False),
    "none": ({}, False),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_of_istio_that_holds_users_is_found(policy: str) -> None:
    spec, holds = POLICIES[policy]
    found = of_destination_rules([{"metadata": {"name": "shop"}, "spec": {"host": "trip", **spec}}])
    assert found == ("consistentHash of DestinationRule shop" if holds else "")


def test_a_service_that_holds_clients_by_address_is_found() -> None:
    assert of_service({"spec": {"sessionAffinity": "ClientIP"}}) == "sessionAffinity ClientIP of the Service"
    assert not of_service({"spec": {"sessionAffinity": "None"}})


@pytest.fixture(params=["service", "replicas", "istioSubsets", *SETUPS])
def router(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.cluster
async def test_every_router_captures_what_holds_its_users(shop: KubernetesWorld, router: str, target: Target) -> None:
    before = "sticky cookies of the route" if router == "traefik" else ""
    assert await captured(shop, target) == before
    await shop.api.patch(SERVICE, shop.place, "trip", [put(("spec", "sessionAffinity"), "ClientIP")])
    assert await captured(shop, target) == "sessionAffinity ClientIP of the Service"


async def captured(shop: KubernetesWorld, target: Target) -> str:
    state = await shop.run().call(shop.targets._baseline, target)
    assert state.traffic
    return state.traffic.affinity
