"""How often this worker asked each API server and how long that had to wait, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from activities.clusters.kubernetes.clusters import Clusters
from worker.measures import KUBERNETES_CALLS, KUBERNETES_WAITED, Measure


class KubernetesCalls(Collector):
    """Reads the counts that the clients keep."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def collect(self) -> Iterator[CounterMetricFamily]:
        calls, waited = _family(KUBERNETES_CALLS), _family(KUBERNETES_WAITED)
        for api in self._clusters:
            for call, count in sorted(api.calls.items()):
                verb, resource = call.split(" ")
                calls.add_metric((api.alias, verb.lower(), resource), count)
            for lane, seconds in api.waited.items():
                waited.add_metric((api.alias, lane.name.lower()), seconds)
        yield from (calls, waited)


def _family(measure: Measure) -> CounterMetricFamily:
    return CounterMetricFamily(measure.name, measure.help, labels=measure.labels)
