"""Numbers from other systems' JSON, asked of real HTTP servers that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from activities.metrics.openmetrics import OpenMetricsProvider, OpenMetricsSettings
from activities.metrics.protocol import Query
from activities.metrics.sources.web import WebEndpoint
from tests.activities.metrics.observing import a_target
from tests.activities.metrics.pages import FakeClock, Instances, Page, served
from workflows.analysis.arms import read
from workflows.analysis.batches import Batch
from workflows.analysis.session import Segment, SessionState, begin, step
from workflows.model.analysis import Analysis
from workflows.model.target import Slot

TOKEN = "Bearer of-a-secret"


def a_gauge(name: str = "rate", value: str = "data.rate", **web: Any) -> dict[str, Any]:
    rule = {"rollback": 10, "interval": "5s"}
    return {"name": name, "kind": "gauge", "web": {"endpoint": "stats", "value": value, **web}, "rule": rule}


class World:
    """A provider that may ask one endpoint."""

    def __init__(self, page: Page, path: str = "/{{component}}/{{slot}}", **endpoint: Any) -> None:
        self.page = page
        self.clock = FakeClock()
        fields = {"url": f"http://{page.address}{path}", "headers": {"Authorization": TOKEN}, **endpoint}
        settings = OpenMetricsSettings.model_validate({"web": {"stats": fields}})
        self.provider = OpenMetricsProvider(settings, Instances(), now=self.clock.now)

    async def read(self, *metrics: dict[str, Any], new: tuple[Slot, ...] = ("canary",)) -> Batch:
        analysis = Analysis.model_validate({"metrics": metrics or [a_gauge()], "minRequests": 0})
        old: tuple[Slot, ...] = tuple(slot for slot in ("stable",) if slot not in new)
        query = Query(a_target(), analysis.metrics, new, old, "v2+b", self.clock, max_age=2.5)
        return await self.provider.read(query)

    async def problem(self, *metrics: dict[str, Any]) -> str:
        """What is said of the new version."""
        batch = await self.read(*metrics)
        found = [gap.message for gap in batch.missing if gap.slot == "canary"]
        assert found
        assert "secret" not in found[0]
        return found[0]


def values(batch: Batch, name: str = "rate") -> dict[Slot, tuple[float, ...]]:
    return {unit.slot: unit.gauges[name] for unit in batch.units if name in unit.gauges}


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with served(Page(json.dumps({"data": {"rate": 3.5}}))) as page:
        yield page


@pytest.fixture
async def world(page: Page) -> AsyncIterator[World]:
    world = World(page)
    yield world
    await world.provider.close()


async def test_each_version_is_asked_for_its_own_number(world: World) -> None:
    batch = await world.read(a_gauge(query={"of": "{{namespace}} {{version}}"}))
    assert values(batch) == {"canary": (3.5,), "stable": (3.5,)}
    assert sorted(world.page.urls) == ["/trip/canary?of=prod+v2%2Bb", "/trip/stable?of=prod+v2%2Bb"]


async def test_number_that_is_the_same_for_all_is_asked_for_once_and_is_the_new_versions(page: Page) -> None:
    world = World(page, "/orders")
    assert values(await world.read()) == {"canary": (3.5,)}
    assert values(await world.read(new=("stable", "canary"))) == {"stable": (3.5,)}
    assert page.asked == 1, "and not again within the tick"
    await world.provider.close()


async def test_version_in_an_address_is_one_part_of_it(page: Page) -> None:
    world = World(page, "/of/{{version}}/x")
    await world.read()
    assert page.urls == ["/of/v2%2Bb/x"]
    await world.provider.close()


async def test_several_numbers_are_aggregated_and_rolled_back_upon(world: World) -> None:
    analysis = Analysis.model_validate({"metrics": [a_gauge(value="[*]") | {"aggregate": "sum"}], "minRequests": 0})
    segment, state = Segment(1, ("canary",), ("stable",)), SessionState()
    state = begin(state, segment)
    results = []
    for numbers in ([1, "2"], [1, 2], [6, 5.5, None]):
        world.page.text = json.dumps(numbers)
        world.clock.time += 5
        query = Query(a_target(), analysis.metrics, segment.new, segment.old, "v2", world.clock, max_age=2.5)
        results.append(step(analysis, segment, state, await world.provider.read(query)))
        state = results[-1].state
    assert [result.decision.verdict for result in results] == ["continue", "continue", "rollback"]
    assert results[-1].reports[0].value == 11.5


async def test_null_is_no_value_and_no_problem(world: World) -> None:
    world.page.text = '{"data": {"rate": null}}'
    batch = await world.read()
    assert (values(batch)["canary"], batch.missing) == ((), ())
    metric = Analysis.model_validate({"metrics": [a_gauge()]}).metrics[0]
    assert read(batch, {}, since=None).arm(metric, ("canary",)).value is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<html>", "answers with something that is no JSON"),
        ("[" * 100_000, "answers with something that is no JSON"),
        ('{"data": {}}', "stats answers without data.rate: there is no 'rate' in it"),
        ('{"data": {"rate": "fast"}}', "stats answers without data.rate: 'fast' is no number"),
        ('{"data": {"rate": true}}', "True is no number"),
        ('{"data": {"rate": {"x": 1}}}', "{'x': 1} is no number"),
        (f'{{"data": {{"rate": 1{"0" * 400}}}}}', "is no number"),
    ],
)
async def test_answer_that_says_nothing_is_a_problem_that_is_named(world: World, text: str, sentence: str) -> None:
    world.page.text = text
    assert sentence in await world.problem()


async def test_answer_that_is_too_large_is_not_read(world: World) -> None:
    world.page.text = json.dumps({"data": {"rate": 1}, "more": "x" * 2**20})
    assert "answers with more than 1 MiB" in await world.problem()


async def test_refusals_are_problems_and_are_asked_less_often(world: World) -> None:
    world.page.status, world.page.headers = 503, {"Retry-After": "30"}
    assert "answers 503" in await world.problem()
    asked = world.page.asked
    world.clock.time += 5
    await world.problem()
    assert world.page.asked == asked


async def test_answer_that_does_not_come_is_a_problem_within_the_timeout(page: Page) -> None:
    page.hang = asyncio.Event()
    world = World(page, timeout=0.1)
    assert "did not answer within 0.1 s" in await world.problem()
    await world.provider.close()


async def test_redirect_is_not_followed(world: World) -> None:
    async with served(Page('{"data": {"rate": 1}}')) as elsewhere:
        world.page.status, world.page.headers = 302, {"Location": f"http://{elsewhere.address}/"}
        assert "answers 302" in await world.problem()
        assert elsewhere.asked == 0


async def test_no_other_endpoint_can_be_asked_than_those_of_the_settings(world: World) -> None:
    said = await world.problem(a_gauge(endpoint="other"))
    assert said == "the settings of the metrics provider have no web endpoint other; they have stats"
    assert world.page.asked == 0


async def test_credentials_are_sent_and_never_shown(world: World) -> None:
    await world.read()
    assert world.page.seen["Authorization"] == TOKEN
    assert world.page.seen["Accept"] == "application/json"
    assert "secret" not in repr(
        OpenMetricsSettings.model_validate({"web": {"s": {"url": "http://x", "headers": {"A": TOKEN}}}})
    )


async def test_one_metric_without_an_answer_leaves_the_others(world: World) -> None:
    batch = await world.read(a_gauge(), a_gauge("orders", value="data.orders"))
    assert values(batch)["canary"] == (3.5,)
    assert {gap.message.partition(":")[0] for gap in batch.missing} == {"orders"}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://stats.example/x",
        "http://user:password@stats.example/x",
        "https://stats.example/x?key=1",
        "https://stats.example/x#part",
        "https://{{namespace}}.example/x",
        "https://stats.example/{{pod}}",
        "stats.example/x",
    ],
)
def test_address_that_could_lead_elsewhere_or_hides_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        WebEndpoint.model_validate({"url": url})
