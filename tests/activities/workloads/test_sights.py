"""What one look at a slot says of it."""

from __future__ import annotations

import pytest

from tests.activities.workloads.test_obstacles import READY, pod, sight
from workflows.model.target import Pace


@pytest.mark.parametrize(
    ("strategy", "pace"),
    [
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}, (3, 2)),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}, (0, 1)),
        ({"type": "Recreate"}, None),
    ],
)
def test_a_slot_tells_how_its_pods_are_replaced(strategy: dict[str, object], pace: tuple[int, int] | None) -> None:
    expected = Pace(surge=pace[0], unavailable=pace[1]) if pace else None
    assert sight(replicas=9, strategy=strategy).state.pace == expected


def test_a_pod_is_asked_at_the_port_of_its_template_whatever_was_injected() -> None:
    own = {"name": "app", "image": "trip:v2", "ports": [{"name": "web", "containerPort": 8080}]}
    proxy = {"name": "istio-proxy", "ports": [{"name": "http-envoy-prom", "containerPort": 15090}]}
    ready = pod(podIP="10.0.0.1", conditions=[READY])
    template = {"metadata": {}, "spec": {"containers": [own]}}
    seen = sight({**ready, "spec": {"containers": [proxy, own]}}, template=template)
    assert [endpoint.address for endpoint in seen.endpoints(None)] == ["10.0.0.1:8080"]
