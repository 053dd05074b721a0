"""Fixtures of the chart's tests."""

from tests.activities.traffic.conftest import routing_kubeconfig
from tests.activities.world import world
from tests.infra.chart import helm

__all__ = ["helm", "routing_kubeconfig", "world"]
