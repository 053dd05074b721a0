from tests.activities.traffic.conftest import routing_kubeconfig
from tests.activities.world import world

__all__ = ["routing_kubeconfig", "world"]
