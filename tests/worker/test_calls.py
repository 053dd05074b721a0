"""Calls to API servers are counted by cluster, verb and resource, their waits by lane; what cannot be read is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.settings import KubernetesSettings
from worker.calls import KubernetesCalls


def test_the_counts_of_every_client_are_exported() -> None:
    settings = KubernetesSettings.model_validate(
        {"clusters": {"main": {"inCluster": True, "namespaces": ["a", "b"]}, "far": {"queue": "q"}}}
    )
    clusters, registry = Clusters(settings), CollectorRegistry()
    clusters.get("main").calls["PATCH deployments"] += 3
    clusters.get("main").unread.add("b")
    registry.register(KubernetesCalls(clusters))

    page = generate_latest(registry).decode()

    assert 'headgate_kubernetes_calls_total{cluster="main",resource="deployments",verb="patch"} 3.0' in page
    assert 'headgate_kubernetes_wait_seconds_total{cluster="main",lane="undo"} 0.0' in page
    assert 'headgate_marks_unread{cluster="main",namespace="a"} 0.0' in page
    assert 'headgate_marks_unread{cluster="main",namespace="b"} 1.0' in page
    assert "far" not in page
