"""Fixtures that every folder of tests shares."""

from tests.temporal import client, dev_server, time_skipping

__all__ = ["client", "dev_server", "time_skipping"]
