"""Named sets of queries: what data planes and applications call requests, failures and durations, one row each.

`docs/how-to/prometheus.md` repeats the table, and a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from activities.metrics.prometheus.arms import (
    Arm,
    by_contour_cluster,
    by_envoy_cluster,
    by_istio_workload,
    by_linkerd_deployment,
    by_nginx_ingress,
    by_pods,
    by_traefik_service,
    in_namespace,
)
from activities.metrics.prometheus.settings import Labels
from activities.metrics.sources import app, envoy
from activities.metrics.sources.series import Naming
from workflows.model.series import Matcher
from workflows.model.target import Slot, Target


def _always(target: Target, labels: Mapping[str, str]) -> bool:
    del target, labels
    return True


def _as_it_is(name: str, slot: Slot) -> Sequence[str]:
    del slot
    return (name,)


@dataclass(frozen=True)
class QuerySet:
    """One source's view of both versions."""

    name: str
    """As metrics write it in `source`."""
    naming: Naming
    arm: Callable[[Target, Slot, Labels], Arm]
    """Errors: Unsupported where a component has nothing of this kind."""
    is_own: bool = False
    """Each target belongs to one slot, which its own labels tell; else it may count for both."""
    spellings: Callable[[str, Slot], Sequence[str]] = _as_it_is
    """What a series may be called for a slot."""
    is_ours: Callable[[Target, Mapping[str, str]], bool] = _always
    """Whether a series that was found is the target's, where no condition can say it."""


QUERY_SETS = {
    each.name: each
    for each in (
        QuerySet("app", app.NAMING, by_pods, is_own=True),
        QuerySet("envoy", envoy.NAMING, by_envoy_cluster, spellings=envoy.spellings),
        QuerySet("contour", envoy.NAMING, by_contour_cluster),
        QuerySet(
            "istio",
            Naming(
                total="istio_requests_total",
                failed=(Matcher("response_code", "=~", "5.+"), Matcher("response_code", "=", "0")),
                durations="istio_request_duration_milliseconds",
                durations_unit=0.001,
            ),
            by_istio_workload,
        ),
        QuerySet(
            "linkerd",
            Naming(
                total="response_total",
                failed=(Matcher("classification", "=", "failure"),),
                durations="response_latency_ms",
                durations_unit=0.001,
            ),
            by_linkerd_deployment,
        ),
        QuerySet(
            "nginx",
            Naming(
                total="nginx_ingress_controller_requests",
                failed=(Matcher("status", "=~", "5.+"),),
                durations="nginx_ingress_controller_request_duration_seconds",
            ),
            by_nginx_ingress,
            is_ours=in_namespace,
        ),
        QuerySet(
            "traefik",
            Naming(
                total="traefik_service_requests_total",
                failed=(Matcher("code", "=~", "5.+"),),
                durations="traefik_service_request_duration_seconds",
            ),
            by_traefik_service,
        ),
    )
}
