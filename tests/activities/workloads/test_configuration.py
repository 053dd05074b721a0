"""A ConfigMap or Secret that changes in mid-release is noticed, and nothing of it is told or kept but that."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from activities.workloads.configuration import references
from activities.workloads.secret import record_in
from tests.activities.traffic.kubernetes import noticing
from tests.activities.workloads.test_kubernetes import V2, edit, run, settle, shop, target
from tests.activities.world import Run, World
from tests.cluster import Namespace
from workflows.contracts.targets import TakeOverRequest
from workflows.errors import ForeignChange
from workflows.model.target import Claim, Target

__all__ = ["run", "shop", "target"]

POD: dict[str, Any] = {
    "spec": {
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [
            {"configMap": {"name": "files"}},
            {"secret": {"secretName": "tls"}},
            {"projected": {"sources": [{"configMap": {"name": "more"}}, {"secret": {"name": "token"}}]}},
            {"emptyDir": {}},
        ],
        "initContainers": [{"envFrom": [{"configMapRef": {"name": "start"}}]}],
        "containers": [
            {
                "envFrom": [{"secretRef": {"name": "all"}}],
                "env": [
                    {"name": "A", "value": "plain"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                    {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "c"}}},
                    {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
            }
        ],
    }
}


def test_every_way_to_refer_to_one_is_known() -> None:
    assert set(references(POD)) == {
        "Secret/registry",
        "ConfigMap/files",
        "Secret/tls",
        "ConfigMap/more",
        "Secret/token",
        "ConfigMap/start",
        "Secret/all",
        "Secret/db",
        "ConfigMap/flags",
    }
    assert not list(references({"spec": {"containers": [{}]}}))


def write(shop: Namespace, kind: str, name: str, value: str, **metadata: Any) -> None:
    text = base64.b64encode(value.encode()).decode() if kind == "Secret" else value
    shop.apply("v1", kind, name, data={"word": text}, metadata=metadata)


@pytest.fixture
async def claim(world: World, run: Run, target: Target, shop: Namespace) -> Claim:
    """Of a Deployment whose pods refer to one of each, and to a Secret that is not there."""
    write(shop, "ConfigMap", "flags", "red")
    write(shop, "Secret", "db", "1234")
    names = [("configMapRef", "flags"), ("secretRef", "db"), ("secretRef", "later")]
    edit(shop, "trip", {"envFrom": [{kind: {"name": name, "optional": True}} for kind, name in names]})
    return await world.capture(run, target)


@pytest.mark.cluster
@pytest.mark.parametrize(("kind", "name"), [("ConfigMap", "flags"), ("Secret", "db"), ("Secret", "later")])
async def test_a_change_is_noticed_at_once_and_stops_the_release_until_it_is_accepted(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace, *, kind: str, name: str
) -> None:
    async with noticing(world, target) as change:
        write(shop, kind, name, "blue")
        found = await change
    assert found.field == f"{kind} {shop.name}/{name}: its content"
    assert "blue" not in str(found)
    with pytest.raises(ForeignChange, match="not what it was"):
        await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    await run.call(world.targets.take_over, TakeOverRequest(target=target, claim=claim))
    assert (await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)).ready


@pytest.mark.cluster
async def test_what_somebody_writes_beside_the_content_does_not_count(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    async with noticing(world, target) as change:
        write(shop, "Secret", "db", "1234", labels={"synced": "just-now"})
        write(shop, "Secret", "unrelated", "5678")
        await asyncio.sleep(1)  # Whether something does not happen can only be waited for.
        assert not change.done()
    assert (await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)).ready


@pytest.mark.cluster
async def test_only_a_keyed_digest_is_kept_and_only_until_the_end(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    record = record_in(shop.get("v1/secrets/headgate-deployment-trip"))
    assert record.mark
    digests = record.configuration.digests
    assert set(digests) == {"ConfigMap/flags", "Secret/db", "Secret/later"}
    assert not any(digest in record.mark.model_dump_json() for digest in digests.values())
    again = await world.providers.get("kubernetes").record(target)
    assert again.configuration.key == record.configuration.key
    await settle(world, run, target, claim)
    assert record_in(shop.get("v1/secrets/headgate-deployment-trip")).configuration.digests == {}
