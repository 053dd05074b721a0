"""Fixtures that every folder of tests shares."""

import signal

from tests.cluster import full_bed, kubeconfig
from tests.temporal import client, dev_server, time_skipping

__all__ = ["client", "dev_server", "full_bed", "kubeconfig", "time_skipping"]


def pytest_configure() -> None:
    """Lets what tests start be interrupted, also when a shell started the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
