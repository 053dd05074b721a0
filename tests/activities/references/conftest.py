from tests.activities.traffic.conftest import routing_kubeconfig

__all__ = ["routing_kubeconfig"]
