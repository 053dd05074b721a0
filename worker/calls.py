"""How often this worker asked each API server, how long that had to wait and where it failed, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from activities.clusters.kubernetes.clusters import Clusters
from worker.measures import KUBERNETES_CALLS, KUBERNETES_WAITED, UNREAD, Measure


class KubernetesCalls(Collector):
    """Reads what the clients keep."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        unread = GaugeMetricFamily(UNREAD.name, UNREAD.help, labels=UNREAD.labels)
        calls, waited = _family(KUBERNETES_CALLS), _family(KUBERNETES_WAITED)
        for api in self._clusters:
            for call, count in sorted(api.calls.items()):
                verb, resource = call.split(" ")
                calls.add_metric((api.alias, verb.lower(), resource), count)
            for lane, seconds in api.waited.items():
                waited.add_metric((api.alias, lane.name.lower()), seconds)
            for namespace in api.places:
                unread.add_metric((api.alias, namespace), namespace in api.unread)
        yield from (calls, waited, unread)


def _family(measure: Measure) -> CounterMetricFamily:
    return CounterMetricFamily(measure.name, measure.help, labels=measure.labels)
