"""Checks ask every ready instance, try again, and answer "no" as a value that says who and what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.boundary import implement
from activities.checks.activities import Checks
from activities.checks.registry import check_providers
from tests.activities.metrics.observing import a_target
from tests.activities.metrics.pages import Instances, Page, an_endpoint, served
from workflows.contracts.checks import CheckActivities, CheckRequest, CheckResult
from workflows.errors import Rejected, Unavailable, Unsupported


class World:
    """Two instances of the new version, and checks that do not wait."""

    def __init__(self, first: Page, second: Page) -> None:
        self.first, self.second = first, second
        self.instances = Instances({"canary": [an_endpoint(first.address), an_endpoint(second.address)]})
        self.slept: list[float] = []
        self.providers = check_providers()
        self.beats: list[Any] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def run(self, *checks: dict[str, Any]) -> CheckResult:
        environment = ActivityEnvironment()
        environment.on_heartbeat = lambda *details: self.beats.append(details)
        activity = Checks(self.providers, self.instances, sleep=self.sleep)
        request = CheckRequest(target=a_target(), slot="canary", checks=checks)
        result: CheckResult = await environment.run(activity.run, request)
        return result


def http(**fields: Any) -> dict[str, Any]:
    return {"kind": "http", "path": "/health", "retries": 3, "every": "10s", "timeout": "300ms", **fields}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with served(Page("all is well")) as first, served(Page("all is well")) as second:
        world = World(first, second)
        yield world
        for provider in world.providers:
            await provider.close()


async def test_check_that_passes_everywhere_asks_each_instance_once(world: World) -> None:
    result = await world.run(http(), http(path="/db?deep=1"))
    assert (result.passed, result.message) == (True, "2 checks passed on 2 instances")
    assert world.first.urls == world.second.urls == ["/health", "/db?deep=1"]
    assert world.beats


@pytest.mark.parametrize("status", [301, 401, 404, 500, 503])
async def test_wrong_status_is_a_no_with_instance_status_and_body(world: World, status: int) -> None:
    world.second.status = status
    world.second.text = "no\n connection to   the database " + "x" * 10_000
    result = await world.run(http())
    assert not result.passed
    assert world.second.address in result.message
    assert f"answered {status} instead of 200: 'no connection to the database" in result.message
    assert "after 3 tries" in result.message
    assert len(result.message) < 400


async def test_tries_have_a_pause_and_only_ask_who_has_not_passed(world: World) -> None:
    world.second.status = 503
    await world.run(http())
    assert world.slept == [10, 10]
    assert (world.first.asked, world.second.asked) == (1, 3)


async def test_instance_that_recovers_in_time_passes(world: World) -> None:
    world.second.status = 503

    async def recover(seconds: float) -> None:
        world.second.status = 200

    world.sleep = recover  # type: ignore[method-assign]
    assert (await world.run(http())).passed


async def test_instance_that_was_replaced_meanwhile_fails_nothing(world: World) -> None:
    world.second.status = 503

    async def replace(seconds: float) -> None:
        world.instances.slots["canary"].pop()

    world.sleep = replace  # type: ignore[method-assign]
    assert (await world.run(http())).passed


async def test_a_request_is_sent_as_it_is_written(world: World) -> None:
    made = http(method="POST", path="/profiles", body={"name": "ann"}, headers={"X-Check": "yes"}, contains="is well")
    assert (await world.run(made)).passed
    assert (world.first.method, world.first.body) == ("POST", '{"name": "ann"}')
    assert (world.first.seen["Content-Type"], world.first.seen["X-Check"]) == ("application/json", "yes")
    text = http(method="PUT", body="<profile/>", headers={"content-type": "text/xml"}, contains="profileId")
    assert "http PUT /health: instance" in (await world.run(text)).message
    assert (world.first.body, world.first.seen["Content-Type"]) == ("<profile/>", "text/xml")
    assert (await world.run(http(method="HEAD"))).passed
    assert (world.first.method, world.first.body) == ("HEAD", "")


async def test_wanted_status_may_be_another(world: World) -> None:
    world.first.status = world.second.status = 204
    assert (await world.run(http(status=204))).passed


async def test_missing_content_is_a_no(world: World) -> None:
    result = await world.run(http(contains="ready to serve"))
    assert "answered 200 without 'ready to serve': 'all is well'" in result.message


async def test_content_that_is_there_passes(world: World) -> None:
    assert (await world.run(http(contains="is well"))).passed


async def test_slow_answer_is_a_no(world: World) -> None:
    world.first.hang = asyncio.Event()
    result = await world.run(http(retries=1))
    assert "no answer within 0.3 s" in result.message


async def test_refused_connection_is_a_no(world: World) -> None:
    async with served(Page()) as gone:
        world.instances.slots["canary"] = [an_endpoint(gone.address)]
    result = await world.run(http(retries=2))
    assert not result.passed
    assert f"instance {gone.address} cannot be reached" in result.message


async def test_no_instance_is_a_no(world: World) -> None:
    world.instances.slots["canary"] = []
    assert "no instance of the new version is ready after 3 tries" in (await world.run(http())).message


async def test_first_failed_check_ends_the_run(world: World) -> None:
    world.first.status = 500
    await world.run(http(), http(path="/second"))
    assert "/second" not in world.first.urls


async def test_no_checks_pass(world: World) -> None:
    assert (await world.run()).passed


async def test_unknown_kind_is_refused_with_the_known_ones(world: World) -> None:
    with pytest.raises(Unsupported, match="http, null"):
        await world.run({"kind": "grpc"})


async def test_check_of_another_version_is_refused(world: World) -> None:
    with pytest.raises(Rejected, match="older than the release"):
        await world.run({"kind": "http", "path": "no slash"})


async def test_cluster_that_does_not_answer_is_tried_again_by_temporal(world: World) -> None:
    world.instances.is_down = True
    with pytest.raises(Unavailable):
        await world.run(http())


async def test_null_asks_nobody(world: World) -> None:
    assert (await world.run({"kind": "null"})).passed
    assert world.first.asked == 0


def test_run_is_the_whole_contract() -> None:
    assert len(implement(CheckActivities, Checks(check_providers(), Instances()))) == 1
