"""Which clusters a worker speaks to itself."""

from __future__ import annotations

import pytest

from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.settings import KubernetesSettings
from workflows.errors import NotFound

CLUSTERS = Clusters(
    KubernetesSettings.model_validate({"clusters": {"near": {"inCluster": True}, "far": {"queue": "q"}}})
)


def test_a_cluster_with_a_queue_is_left_to_the_workers_there() -> None:
    assert [api.alias for api in CLUSTERS] == ["near"]
    assert CLUSTERS.queues == {"far": "q"}
    with pytest.raises(NotFound, match="workers at its queue q"):
        CLUSTERS.get("far")


def test_an_unknown_cluster_is_refused_with_those_there_are() -> None:
    with pytest.raises(NotFound, match="it has far, near"):
        CLUSTERS.get("other")
