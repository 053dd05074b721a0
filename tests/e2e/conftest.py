"""What whole releases on the test bed share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from infra.testbed import crds
from infra.testbed.api import Api
from infra.testbed.bed import Bed
from tests.activities.traffic.conftest import routing_kubeconfig
from tests.cluster import Namespace
from tests.e2e.land import Land
from tests.e2e.site import Site, a_site
from tests.temporal import address_of, unique

__all__ = ["land", "routing_kubeconfig", "site"]


@pytest.fixture
async def site(full_bed: Bed, tmp_path: Path) -> AsyncIterator[Site]:
    async with a_site(full_bed, tmp_path) as made:
        yield made


@pytest.fixture
async def land(
    dev_server: WorkflowEnvironment, client: Client, routing_kubeconfig: Path, tmp_path: Path
) -> AsyncIterator[Land]:
    crds.install(Api(routing_kubeconfig), ("keda",))
    namespace = Namespace(routing_kubeconfig)
    try:
        yield Land(client, address_of(dev_server), tmp_path, namespace, unique("land"))
    finally:
        namespace.close()
