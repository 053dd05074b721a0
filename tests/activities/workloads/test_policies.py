"""The canary's pods may talk to whom the user's own may, although their label differs, while they are there."""

from __future__ import annotations

from typing import Any

import pytest

from activities.clusters.kubernetes.labels import MANAGED, canary_labels
from activities.workloads.policies import Meaning
from tests.activities.workloads.test_kubernetes import V1, V2, claim, deployment, run, shop, target, waiting
from tests.activities.world import Run, World
from tests.cluster import Namespace
from workflows.model.target import Claim, Target

__all__ = ["claim", "run", "shop", "target"]

KEY = "local/test/kubernetes/trip"
STABLE, CANARY = {"app": "trip", "team": "trips"}, {"app": "trip-canary", "team": "trips", **canary_labels(KEY)}
TRIP = {"matchLabels": {"app": "trip"}}
OURS = {"matchLabels": canary_labels(KEY)}
PORTS = [{"port": 5432}]


def a_policy(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", **metadata}, "spec": {"podSelector": {}, **spec}}


def copies(*policies: dict[str, Any]) -> list[dict[str, Any]]:
    return [made["spec"] for made in Meaning(STABLE, CANARY, KEY).copies(policies)]


def test_a_policy_for_the_users_pods_is_copied_for_the_canarys() -> None:
    rules = {"policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}], "ports": PORTS}]}
    assert copies(a_policy({"podSelector": TRIP, **rules})) == [{"podSelector": OURS, **rules}]


def test_who_lets_the_users_pods_in_lets_the_canarys_in_and_nobody_else() -> None:
    database = {"matchLabels": {"app": "database"}}
    other = {"podSelector": {"matchLabels": {"app": "other"}}}
    spec = {"podSelector": database, "ingress": [{"from": [{"podSelector": TRIP}, other], "ports": PORTS}]}
    [made] = copies(a_policy(spec))
    rule = {"from": [{"podSelector": OURS}], "ports": PORTS}
    assert made == {"podSelector": database, "policyTypes": ["Ingress"], "ingress": [rule]}


def test_a_peer_keeps_its_namespaces_and_the_way_out_counts_too() -> None:
    peer = {"podSelector": TRIP, "namespaceSelector": {"matchLabels": {"env": "test"}}}
    [made] = copies(a_policy({"egress": [{"to": [peer]}]}))
    assert made["policyTypes"] == ["Egress"]
    assert made["egress"] == [{"to": [{**peer, "podSelector": OURS}]}]


def test_what_means_both_or_neither_or_is_ours_is_left_alone() -> None:
    both = a_policy({"ingress": [{"from": [{"podSelector": {"matchLabels": {"team": "trips"}}}]}]})
    neither = a_policy({"podSelector": {"matchLabels": {"app": "other"}}, "ingress": [{}]})
    block = a_policy({"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]})
    ours = a_policy({"podSelector": TRIP}, labels=MANAGED)
    assert copies(both, block, neither, ours) == []


def policies(shop: Namespace) -> dict[str, Any]:
    found = shop.api.get(f"/apis/networking.k8s.io/v1/namespaces/{shop.name}/networkpolicies")["items"]
    return {policy["metadata"]["name"]: policy for policy in found}


@pytest.mark.cluster
async def test_copies_come_with_the_canary_and_go_with_it(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    spec = {"podSelector": TRIP, "ingress": [{"from": [{"podSelector": TRIP}]}]}
    shop.apply("networking.k8s.io/v1", "NetworkPolicy", "trip", spec=spec)
    before = policies(shop)["trip"]["spec"]
    for template in (V2, V1):
        await world.deploy(run, target, claim, slot="canary", template=template, replicas=1)
        assert len(policies(shop)) == 3
    made = next(policy for name, policy in policies(shop).items() if name.startswith("trip-") and "peers" not in name)
    assert made["spec"]["podSelector"] == {"matchLabels": canary_labels(target.key)}
    assert made["metadata"]["ownerReferences"][0]["uid"] == deployment(shop, "trip-canary")["metadata"]["uid"]
    await world.retire(run, target, claim)
    await waiting(lambda: list(policies(shop)) == ["trip"])
    assert policies(shop)["trip"]["spec"] == before
