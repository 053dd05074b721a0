"""What means the user's pods by their labels means the canary's too, although one label differs."""

from __future__ import annotations

from typing import Any

import pytest

from activities.clusters.kubernetes.kinds import (
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    POD_MONITOR,
    SERVICE_MONITOR,
    Kind,
)
from activities.clusters.kubernetes.labels import canary_labels
from activities.workloads.selectors import affinities
from activities.workloads.selectors.beside import Services, listed
from activities.workloads.selectors.meaning import Meaning
from activities.workloads.selectors.network_policies import copies
from activities.workloads.selectors.sorts import SORTS
from infra.testbed import crds
from infra.testbed.api import Api
from tests.activities.workloads.selecting import CRDS, LABELS, OWN, SELECTING, SIDE, found, select
from tests.activities.workloads.test_kubernetes import V1, V2, claim, deployment, run, shop, target, waiting
from tests.activities.world import Run, World
from tests.cluster import Namespace
from workflows.contracts.workloads import DeployRequest
from workflows.errors import Fenced
from workflows.model.target import Claim, Target

__all__ = ["claim", "run", "shop", "target"]

KEY = "local/test/deployment/trip"
STABLE, CANARY = {"app": "trip", "team": "trips"}, {"app": "trip-canary", "team": "trips", **canary_labels(KEY)}
MEANING = Meaning(STABLE, CANARY, KEY)
TRIP = {"matchLabels": {"app": "trip"}}
BOTH = {"matchLabels": {"team": "trips"}}
OURS = {"matchLabels": canary_labels(KEY)}
PORTS = [{"port": 5432}]
SORT = {sort.kind: sort for sort in SORTS}


def an_object(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "test", **metadata}, "spec": spec}


def policies(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [made.body["spec"] for made in copies(an_object({"podSelector": {}, **spec}), MEANING)]


def specs(kind: Any, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    return [made.body["spec"] for made in SORT[kind].copies(map(an_object, objects), MEANING)]


def test_a_policy_for_the_users_pods_is_copied_for_the_canarys() -> None:
    rules = {"policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}], "ports": PORTS}]}
    assert policies({"podSelector": TRIP, **rules}) == [{"podSelector": OURS, **rules}]


@pytest.mark.parametrize(("side", "peers"), [("ingress", "from"), ("egress", "to")])
def test_pods_that_may_reach_each_other_may_so_in_the_canary_and_across_both(side: str, peers: str) -> None:
    other = {"podSelector": {"matchLabels": {"app": "other"}}}
    rules = [{peers: [{"podSelector": TRIP}, other], "ports": PORTS}, {peers: [other]}, {"ports": PORTS}]
    canarys, others = policies({"podSelector": TRIP, side: rules})
    among = {peers: [{"podSelector": OURS}], "ports": PORTS}
    assert canarys == {"podSelector": OURS, side: [*rules, among]}
    assert others == {"podSelector": TRIP, "policyTypes": [side.capitalize()], side: [among]}


def test_who_lets_the_users_pods_in_lets_the_canarys_in_and_nobody_else() -> None:
    database = {"matchLabels": {"app": "database"}}
    other = {"podSelector": {"matchLabels": {"app": "other"}}}
    spec = {"podSelector": database, "ingress": [{"from": [{"podSelector": TRIP}, other], "ports": PORTS}]}
    [made] = policies(spec)
    rule = {"from": [{"podSelector": OURS}], "ports": PORTS}
    assert made == {"podSelector": database, "policyTypes": ["Ingress"], "ingress": [rule]}


def test_a_peer_keeps_its_namespaces_and_the_way_out_counts_too() -> None:
    peer = {"podSelector": TRIP, "namespaceSelector": {"matchLabels": {"env": "test"}}}
    [made] = policies({"egress": [{"to": [peer]}]})
    assert made["policyTypes"] == ["Egress"]
    assert made["egress"] == [{"to": [{**peer, "podSelector": OURS}]}]


def test_a_policy_that_means_both_or_neither_is_left_alone() -> None:
    assert policies({"ingress": [{"from": [{"podSelector": BOTH}]}]}) == []
    assert policies({"podSelector": {"matchLabels": {"app": "other"}}, "ingress": [{}]}) == []
    assert policies({"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}) == []


@pytest.mark.parametrize("one", SELECTING, ids=lambda one: one.kind.name)
def test_every_kind_is_copied_with_all_but_its_selector(one: Any) -> None:
    if one.kind not in SORT:
        assert one.kind == SERVICE_MONITOR
        return
    field = SORT[one.kind].field
    [made] = specs(one.kind, one.spec)
    assert {**made, field: None} == {**one.spec, field: None}
    assert made[field] == ({"labels": canary_labels(KEY)} if one.spec.get("workloadSelector") else OURS)
    assert specs(one.kind, {**one.spec, field: {"labels": BOTH["matchLabels"]} if one.spec == SIDE else BOTH}) == []


def test_a_copy_bears_the_labels_that_its_readers_choose_by_and_no_mark_of_whoever_deploys() -> None:
    chosen = {"release": "prometheus", "team": "trips", "istio.io/rev": "canary", "app.kubernetes.io/name": "trip"}
    marks = {
        "kapp.k14s.io/app": "1",
        "argocd.argoproj.io/instance": "shop",
        "objectset.rio.cattle.io/hash": "abc",
        "app.kubernetes.io/instance": "trip",
        "app.kubernetes.io/managed-by": "Helm",
        "chart": "trip-1.0",
        "heritage": "Helm",
    }
    monitor = an_object({**OWN, "podMetricsEndpoints": []}, labels=chosen | marks, annotations={"a": "b"})
    [made] = SORT[POD_MONITOR].copies([monitor], MEANING)
    assert made.body["metadata"]["labels"] == chosen
    assert made.body["metadata"].keys() == {"name", "labels"}


def test_what_means_every_pod_of_its_namespace_is_left_alone() -> None:
    for sort in SORTS:
        assert list(sort.copies([an_object({}), {"metadata": {"name": "p", "namespace": "test"}}], MEANING)) == []


def test_a_pod_has_one_disruption_budget_at_most() -> None:
    own = {**OWN, "maxUnavailable": 1}
    assert len(specs(POD_DISRUPTION_BUDGET, own, own)) == 1
    for chosen in (BOTH, {"matchLabels": {"app": "trip-canary"}}):
        assert specs(POD_DISRUPTION_BUDGET, own, {"selector": chosen, "maxUnavailable": 1}) == []


def test_a_monitor_of_other_namespaces_is_left_alone() -> None:
    assert len(specs(POD_MONITOR, {**OWN, "namespaceSelector": {"matchNames": ["test", "x"]}})) == 1
    assert specs(POD_MONITOR, {**OWN, "namespaceSelector": {"matchNames": ["x"]}}) == []


def behind(traffic: dict[str, str]) -> Services:
    target = Target(component="trip", cluster="local", namespace="test", workload={}, traffic=traffic)
    routed, admin, both = (
        {"metadata": {"name": name, "namespace": "test", "labels": {"app": name}}, "spec": {"selector": selector}}
        for name, selector in (("trip", {"app": "trip"}), ("admin", {"app": "trip"}), ("both", {"team": "trips"}))
    )
    monitors = [
        {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}}}
        for name in ("trip", "admin", "both", "other")
    ]
    return Services(target, [routed, admin, both], monitors)


def test_the_monitor_of_the_routed_service_watches_the_canarys_too_and_other_services_are_told() -> None:
    found = behind({"kind": "gatewayApi", "service": "trip"})
    [made] = found.copies(MEANING)
    assert (made.original, made.body["spec"]) == ("trip", {"selector": OURS})
    assert list(found.missed(MEANING)) == ["Service admin", "ServiceMonitor admin"]


def test_a_switched_service_needs_no_other_monitor() -> None:
    found = behind({"kind": "service", "service": "trip"})
    assert list(found.copies(MEANING)) == []
    assert list(found.missed(MEANING)) == ["Service admin", "ServiceMonitor admin"]


def a_pod(name: str, labels: dict[str, str], selector: dict[str, Any]) -> dict[str, Any]:
    term = {"topologyKey": "host", "labelSelector": selector}
    rules = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    owners = [{"kind": "ReplicaSet", "name": f"{name}-abc"}]
    metadata = {"name": f"{name}-abc-1", "labels": {**labels, "pod-template-hash": "abc"}, "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"affinity": {"podAffinity": rules}}}


def test_rules_of_other_pods_that_mean_the_users_are_told_by_their_owner() -> None:
    cache = [a_pod("cache", {"app": "cache"}, TRIP) for _ in range(2)]
    quiet = [a_pod("trip", STABLE, TRIP), a_pod("other", {"app": "other"}, BOTH)]
    assert affinities.missed([*cache, *quiet], MEANING) == ["the affinity of cache"]


@pytest.fixture
def selected(shop: Namespace) -> Namespace:
    """A shop with one object of each kind."""
    crds.install(Api(shop.kubeconfig), CRDS)
    select(shop)
    return shop


COPIED = [one for one in SELECTING if one.kind != SERVICE_MONITOR]


@pytest.mark.cluster
async def test_copies_come_with_the_canary_and_go_with_it(
    world: World, run: Run, target: Target, claim: Claim, selected: Namespace
) -> None:
    before = {one.kind: found(selected, one.kind)["trip"]["spec"] for one in SELECTING}
    for template in (V2, V1):
        await world.deploy(run, target, claim, slot="canary", template=template, replicas=1)
        for one in COPIED:
            assert len(found(selected, one.kind)) == 2, one.kind
    uid = deployment(selected, "trip-canary")["metadata"]["uid"]
    for one in COPIED:
        [made] = [made for name, made in found(selected, one.kind).items() if name != "trip"]
        assert made["metadata"]["ownerReferences"][0]["uid"] == uid
        assert "argocd.argoproj.io/instance" not in made["metadata"]["labels"]
        is_labelled = one.kind not in (NETWORK_POLICY, POD_DISRUPTION_BUDGET)
        assert made["metadata"]["labels"].get("release") == (LABELS["release"] if is_labelled else None)
    await world.retire(run, target, claim)
    for one in SELECTING:
        await waiting(lambda kind=one.kind: list(found(selected, kind)) == ["trip"])
        assert found(selected, one.kind)["trip"]["spec"] == before[one.kind]


@pytest.mark.cluster
async def test_a_change_of_the_users_own_is_followed_and_a_lost_claim_copies_nothing(
    world: World, run: Run, target: Target, claim: Claim, selected: Namespace
) -> None:
    request = DeployRequest(target=target, claim=claim, slot="canary", template=V2, replicas=0)
    await run.call(world.workloads.deploy, request)
    for one in COPIED:
        selected.apply(one.kind.api_version, one.kind.name, "trip", spec={**one.spec, one.field: one.value})
    await run.call(world.workloads.deploy, request)
    for one in COPIED:
        for made in found(selected, one.kind).values():
            assert made["spec"].get(one.field) == (one.value or None), one.kind
    await world.capture_undo(run, target)
    selected.apply("policy/v1", "PodDisruptionBudget", "trip", spec=COPIED[1].spec)
    with pytest.raises(Fenced):
        await run.call(world.workloads.deploy, request)
    values = {made["spec"]["maxUnavailable"] for made in found(selected, POD_DISRUPTION_BUDGET).values()}
    assert values == {1, 2}


@pytest.mark.cluster
@pytest.mark.parametrize("kind", [Kind("X", "nowhere.example.com/v1", "xs"), Kind("X", "policy/v1", "xs")], ids=str)
async def test_a_kind_that_the_cluster_does_not_have_is_an_empty_list(world: World, target: Target, kind: Kind) -> None:
    [api] = world._clusters
    assert await listed(api, target, kind, await api.served()) == []
