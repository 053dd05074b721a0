"""Which pods are a slot's, by their names alone, as long as those may be."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from activities.metrics.prometheus.arms import pods_of
from tests.activities.metrics.prometheus.recording import a_deployment
from tests.cluster import Namespace
from workflows.model.target import SLOTS, Target

HASHES = ("5", "7d4f9c8b6d", "6bdf7c9c5")


def named(length: int) -> Target:
    name = ("order-service-" * 9)[: length - 1] + "x"
    return a_deployment().model_copy(update={"workload": {"kind": "kubernetes", "deployment": name}})


def made(workload: str, hashed: str) -> str:
    """The name of a pod as an API server makes it of that of its ReplicaSet."""
    return f"{workload}-{hashed}-"[:58] + "x2z9w"


@pytest.mark.parametrize("length", range(2, 56))
@pytest.mark.parametrize("hashed", HASHES)
def test_a_slot_has_its_own_pods_and_no_others(length: int, hashed: str) -> None:
    target = named(length)
    names = {"stable": made(target.name, hashed), "canary": made(f"{target.name}-canary", hashed)}
    for slot, name in names.items():
        found = {other for other in SLOTS if re.fullmatch(pods_of(target, other), name)}
        assert found == {slot}, name


@pytest.mark.parametrize("length", range(56, 70))
def test_pods_that_cannot_be_told_apart_are_nobodys(length: int) -> None:
    target = named(length)
    assert not re.fullmatch(pods_of(target, "stable"), made(f"{target.name}-canary", HASHES[1]))
    assert not re.fullmatch(pods_of(target, "canary"), made(target.name, HASHES[1]))


@pytest.mark.cluster
@pytest.mark.parametrize("length", [20, 46, 50, 55])
async def test_an_api_server_cuts_names_as_we_think(kubeconfig: Path, length: int) -> None:
    target, namespace = named(length), Namespace(kubeconfig)
    try:
        for name, count in ((target.name, 2), (f"{target.name}-canary", 1)):
            namespace.deployment(name, replicas=count)
        pods: list[str] = []
        async with asyncio.timeout(120):
            while len(pods) < 3:
                await asyncio.sleep(0.1)
                found = namespace.api.get(f"/api/v1/namespaces/{namespace.name}/pods")["items"]
                pods = [pod["metadata"]["name"] for pod in found]
        matched = {slot: sum(bool(re.fullmatch(pods_of(target, slot), pod)) for pod in pods) for slot in SLOTS}
        assert matched == {"stable": 2, "canary": 1}, pods
    finally:
        namespace.close()
