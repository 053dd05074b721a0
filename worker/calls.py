"""How often this worker asked each API server, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from activities.clusters.kubernetes.clusters import Clusters
from worker.measures import KUBERNETES_CALLS


class KubernetesCalls(Collector):
    """Reads the counts that the clients keep."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(KUBERNETES_CALLS.name, KUBERNETES_CALLS.help, labels=KUBERNETES_CALLS.labels)
        for api in self._clusters:
            for call, count in sorted(api.calls.items()):
                verb, resource = call.split(" ")
                family.add_metric((api.alias, verb.lower(), resource), count)
        yield family
