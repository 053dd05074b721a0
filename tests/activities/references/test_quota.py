"""Room for pods, counted as the API server counts it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from activities.clusters.kubernetes.kinds import DEPLOYMENT, SERVICE
from activities.references.quota import beyond_limits, counts, object_cost, plain, pod_cost, shortages, times

SPEC = {
    "containers": [
        {"name": "trip", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}},
        {"name": "proxy", "resources": {"limits": {"cpu": "100m"}}},
    ]
}


def container(**requests: str) -> dict[str, Any]:
    return {"name": "x", "resources": {"requests": requests}}


def a_quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used or {}}}


def a_range(**item: Any) -> dict[str, Any]:
    return {"metadata": {"name": "r"}, "spec": {"limits": [{"type": "Container", **item}]}}


def test_a_pod_takes_what_its_containers_take_and_a_limit_stands_for_a_request() -> None:
    cost = pod_cost(SPEC)
    assert cost["requests.cpu"] == Decimal("0.35")
    assert cost["requests.memory"] == 64 * 2**20
    assert cost["limits.cpu"] == Decimal("0.1")
    assert cost["pods"] == 1


def test_init_containers_count_alone_and_sidecars_beside_all_others() -> None:
    first = [container(cpu="1"), {**container(cpu="200m"), "restartPolicy": "Always"}, container(cpu="500m")]
    assert pod_cost({"initContainers": first, "containers": [container(cpu="100m")]})["requests.cpu"] == Decimal(1)
    assert pod_cost({"initContainers": first, "containers": [container(cpu="900m")]})["requests.cpu"] == Decimal("1.1")


def test_overhead_and_defaults_of_the_namespace_count() -> None:
    spec = {"containers": [{"name": "x"}], "overhead": {"memory": "10Mi"}}
    ranges = [a_range(default={"cpu": "1"}, defaultRequest={"memory": "6Mi"})]
    cost = pod_cost(spec, ranges)
    assert cost["requests.cpu"] == cost["limits.cpu"] == 1
    assert cost["requests.memory"] == 16 * 2**20


@pytest.mark.parametrize(
    ("quota", "sentence"),
    [
        (a_quota({"pods": "10"}, {"pods": "7"}), "leaves 3 of 10 pods, and the release takes 4 more"),
        (a_quota({"pods": "10"}, {"pods": "6"}), ""),
        (a_quota({"cpu": "2"}, {"cpu": "1"}), "leaves 1 of 2 cpu, and the release takes 1.4 more"),
        (a_quota({"requests.memory": "1Gi"}, {"requests.memory": "900Mi"}), "leaves 124Mi of 1Gi requests.memory"),
        (a_quota({"limits.cpu": "100m"}, {"limits.cpu": "2"}), "leaves 0 of 100m limits.cpu"),
        (a_quota({"count/deployments.apps": "3"}, {"count/deployments.apps": "3"}), "count/deployments.apps"),
        (a_quota({"services": "3"}, {"services": "3"}), "leaves 0 of 3 services"),
        (a_quota({"pods": "0"}, scopes=["BestEffort"]), ""),
        (a_quota({"pods": "0"}, scopes=["NotBestEffort", "NotTerminating"]), "leaves 0 of 0 pods"),
        (a_quota({"pods": "0"}, scopes=["Terminating"]), ""),
        (a_quota({"pods": "0"}, scopes=["CrossNamespacePodAffinity"]), ""),
        (a_quota({"requests.nvidia.com/gpu": "0"}), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_quota_that_is_too_small_is_told_in_numbers(quota: dict[str, Any], sentence: str) -> None:
    needed = times(pod_cost(SPEC), 4) | object_cost([DEPLOYMENT, SERVICE])
    told = list(shortages(quota, [needed] if counts(quota, SPEC) else []))
    assert sentence in told[0] if sentence else told == []


def test_a_quota_for_one_priority_counts_only_its_pods() -> None:
    expression = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
    quota = a_quota({"pods": "0"}, scopeSelector={"matchExpressions": [expression]})
    assert not counts(quota, SPEC)
    assert counts(quota, SPEC | {"priorityClassName": "high"})


def test_containers_without_what_a_quota_counts_are_told() -> None:
    bare, other = {"pods": Decimal(1)}, {"pods": Decimal(1), "limits.cpu": Decimal(1)}
    [told] = shortages(a_quota({"limits.cpu": "4"}), [other, bare])
    assert told == "ResourceQuota q wants limits.cpu of each container, and these have none"


def test_nothing_more_needs_no_room() -> None:
    quota = a_quota({"pods": "3", "limits.cpu": "1"}, {"pods": "3"})
    assert list(shortages(quota, [{}])) == list(shortages(quota, [])) == []


def test_containers_beyond_a_range_are_told() -> None:
    told = list(beyond_limits([a_range(max={"memory": "100Mi"}, min={"cpu": "300m"})], SPEC))
    assert told == [
        "LimitRange r has max memory 100Mi, container trip 128Mi",
        "LimitRange r has min cpu 300m, container trip 250m",
    ]


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0"), ("0.35", "350m"), ("2", "2"), ("1.5", "1.5"), ("134217728", "128Mi"), ("100", "100")],
)
def test_amounts_read_as_people_write_them(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text
