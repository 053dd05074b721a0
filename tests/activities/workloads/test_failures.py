"""What is kept of a version that failed: enough to understand it, bounded, and by nobody's secrets."""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.boundary import without_secrets
from activities.workloads import failures
from activities.workloads.failures import AGE, KEPT, SECRET_LIMIT, _leaving
from tests.activities.workloads.test_kubernetes import V2, claim, run, shop, target, tried
from tests.activities.world import Run, World, a_release
from tests.cluster import Namespace
from workflows.contracts.workloads import GatherRequest
from workflows.model.target import Claim, Target, Template

__all__ = ["claim", "run", "shop", "target"]

NAME = "headgate-failures-trip"
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def a_request(target: Target, version: str) -> GatherRequest:
    return GatherRequest(
        target=target,
        release=a_release(version),
        template=Template(version=version, digest=f"digest-{version}"),
        reason="NotReady",
        message="0 of 1 pods are ready",
    )


def kept(shop: Namespace) -> dict[str, str]:
    found: dict[str, Any] = shop.get(f"v1/secrets/{NAME}")
    return {key: gzip.decompress(base64.b64decode(value)).decode() for key, value in found["data"].items()}


@pytest.mark.cluster
async def test_pods_and_events_of_the_failed_version_are_kept_and_no_others(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await tried(world, run, target, claim, "v2-crash", seconds=20)
    gathered = await run.call(world.workloads.gather, a_request(target, "v2-crash"))
    [(key, text)] = kept(shop).items()
    assert f"kubectl --namespace {shop.name} get secret {NAME}" in gathered.command
    assert key.replace(".", "\\.") in gathered.command
    first, reason = text.splitlines()[:2]
    assert first.startswith("trip v2-crash in test failed: NotReady")
    assert reason == "0 of 1 pods are ready"
    assert "== Pods of v2-crash (1)" in text
    assert "-- trip-canary-" in text
    assert "restartCount: 3" in text
    assert "ScalingReplicaSet" in text
    assert "== Log of trip-canary-" in text
    assert "before its last restart" in text
    stable = [pod["metadata"]["name"] for pod in shop.api.get(f"/api/v1/namespaces/{shop.name}/pods")["items"]]
    assert not any(f"-- {name}" in text for name in stable if "canary" not in name)


@pytest.mark.cluster
async def test_a_later_attempt_replaces_its_own_text_and_another_run_adds_one(
    world: World, run: Run, target: Target, claim: Claim, shop: Namespace
) -> None:
    await world.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    for again in range(2):
        request = a_request(target, "v2").model_copy(update={"message": f"attempt {again}"})
        await run.call(world.workloads.gather, request)
    assert [text.splitlines()[1] for text in kept(shop).values()] == ["attempt 1"]
    await world.run("run-2").call(world.workloads.gather, a_request(target, "v3"))
    assert len(kept(shop)) == 2
    assert shop.get(f"v1/secrets/{NAME}")["type"] == "headgate.dev/failures"
    assert await world.providers.get("kubernetes").records(), "this is no record, and hides none"


async def test_a_provider_that_keeps_nothing_says_so(world: World) -> None:
    gathered = await world.run().call(world.workloads.gather, a_request(world.target(), "v2"))
    assert gathered.command == ""


def entries(*ages: timedelta, size: int = 100) -> dict[str, str]:
    return {f"{(NOW - age).strftime(failures._TIME)}.run{i}": "x" * size for i, age in enumerate(ages)}


def test_the_last_ten_failures_stay() -> None:
    there = entries(*(timedelta(days=day) for day in range(1, 13)))
    leaving = _leaving(there, "20261128T120000Z.new", 100, NOW)
    assert leaving == sorted(there, reverse=True)[KEPT - 1 :]


def test_what_is_older_than_thirty_days_goes_with_the_next_one() -> None:
    there = entries(AGE - timedelta(hours=1), AGE + timedelta(hours=1))
    assert _leaving(there, "20261128T120000Z.new", 100, NOW) == [min(there)]


def test_the_oldest_go_when_the_secret_would_grow_too_big() -> None:
    there = entries(timedelta(days=1), timedelta(days=2), size=SECRET_LIMIT // 2)
    assert _leaving(there, "20261128T120000Z.new", SECRET_LIMIT // 2, NOW) == [min(there)]


def test_the_entry_of_the_same_run_never_goes() -> None:
    there = entries(AGE + timedelta(days=1))
    [key] = there
    assert _leaving(there, key, SECRET_LIMIT, NOW) == []


@pytest.mark.parametrize("word", ["x", "secret", "secret ", "://"])
def test_what_looks_like_a_credential_is_blanked_in_long_texts_too(word: str) -> None:
    text = word * 100_000 + "\nDB_PASSWORD=hunter22 postgres://ann:hunter22@db/shop"
    assert "hunter22" not in without_secrets(text)
    assert len(without_secrets(text)) > 100_000
