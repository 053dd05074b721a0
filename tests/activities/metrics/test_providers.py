"""The contract of metrics providers, on pages that fail in every way a page can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.metrics.null import NullMetrics, NullMetricsSettings
from activities.metrics.openmetrics import OpenMetricsProvider, OpenMetricsSettings
from activities.metrics.protocol import MetricsProvider, Query
from activities.metrics.registry import MetricsSettings, metrics_providers
from activities.workloads.protocol import Endpoint
from tests.activities.metrics.observing import a_target
from tests.activities.metrics.pages import (
    FakeClock,
    Instances,
    Page,
    an_endpoint,
    app_page,
    envoy_page,
    served,
)
from workflows.analysis.batches import Batch
from workflows.analysis.session import Segment, SessionState, begin, step
from workflows.errors import Unsupported
from workflows.model.analysis import Analysis
from workflows.model.decision import MetricReport
from workflows.model.target import Slot

RULES = {
    "errors": {"kind": "ratio", "rule": {"rollback": "50%", "interval": "5s"}},
    "latency": {"kind": "histogram", "quantile": "90%", "rule": {"rollback": "500ms", "interval": "5s"}},
}


def an_analysis(source: str, *extra: dict[str, Any]) -> Analysis:
    metrics = [{"name": name, "source": source, **rule} for name, rule in RULES.items()]
    return Analysis.model_validate({"metrics": [*metrics, *extra], "minRequests": 0})


class World:
    """Stable and canary behind one Envoy, one instance each, read by one provider."""

    def __init__(self, provider: MetricsProvider, clock: FakeClock, analysis: Analysis) -> None:
        self.provider = provider
        self.clock = clock
        self.analysis = analysis
        self.segment = Segment(1, ("canary",), ("stable",))
        self.state = begin(SessionState(), self.segment)
        self.version = "v2"

    async def read(self, *, fresh: bool = False) -> Batch:
        query = Query(
            target=a_target(),
            metrics=self.analysis.metrics,
            new=self.segment.new,
            old=self.segment.old,
            version=self.version,
            clock=self.clock,
            max_age=2.5,
        )
        return await self.provider.read(query, fresh=fresh)

    async def look(self) -> dict[str, MetricReport]:
        self.clock.time += 5
        result = step(self.analysis, self.segment, self.state, await self.read())
        self.state = result.state
        return {report.name: report for report in result.reports}


class Data:
    """Writes what both versions served to where a source reads it."""

    def __init__(self, source: str, pages: dict[str, Page]) -> None:
        self.source = source
        self.pages = pages
        self.write(stable=(1000, 10), canary=(100, 0))

    def write(self, *, canary: tuple[float, float], stable: tuple[float, float] = (1000, 10)) -> None:
        self.pages["envoy"].text = envoy_page("trip", stable=stable, canary=canary)
        self.pages["stable"].text = app_page(*stable)
        self.pages["canary"].text = app_page(*canary)

    @property
    def page(self) -> Page:
        """The page that the canary's numbers come from."""
        return self.pages["envoy" if self.source == "envoy" else "canary"]


@pytest.fixture
async def pages() -> AsyncIterator[dict[str, Page]]:
    async with served(Page()) as envoy, served(Page()) as stable, served(Page()) as canary:
        yield {"envoy": envoy, "stable": stable, "canary": canary}


@pytest.fixture
async def instances(pages: dict[str, Page]) -> Instances:
    slots: tuple[Slot, ...] = ("stable", "canary")
    return Instances({slot: [an_endpoint(pages[slot].address, token=slot)] for slot in slots})


@pytest.fixture(params=["envoy", "app"])
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def data(source: str, pages: dict[str, Page]) -> Data:
    return Data(source, pages)


@pytest.fixture
async def world(source: str, pages: dict[str, Page], instances: Instances) -> AsyncIterator[World]:
    clock = FakeClock()
    settings = OpenMetricsSettings(envoys=(f"http://{pages['envoy'].address}",), timeout=0.3)
    provider = OpenMetricsProvider(settings, instances, now=clock.now)
    yield World(provider, clock, an_analysis(source))
    await provider.close()


class TestOpenMetrics:
    async def test_increments_become_samples_of_both_versions(self, world: World, data: Data) -> None:
        await world.look()
        data.write(canary=(190, 10), stable=(2000, 10))
        reports = await world.look()
        assert reports["errors"].value == pytest.approx(10)
        assert reports["errors"].baseline == pytest.approx(0)
        assert reports["errors"].requests == 100
        assert 0 < (reports["latency"].value or 0) < 0.1

    async def test_restarted_process_counts_from_zero(self, world: World, data: Data) -> None:
        await world.look()
        data.write(canary=(36, 4))
        assert (await world.look())["errors"].value == pytest.approx(10)

    async def test_series_that_is_born_counts_from_zero(self, world: World, data: Data) -> None:
        data.write(canary=(0, 0))
        await world.look()
        data.write(canary=(30, 10))
        assert (await world.look())["errors"].value == pytest.approx(25)

    @pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
    async def test_empty_page_is_missing_data(self, world: World, data: Data, text: str) -> None:
        data.page.text = text
        assert "answers with an empty page" in (await world.read()).missing[0].message

    async def test_page_without_our_series_is_an_answer_without_data(self, world: World, data: Data) -> None:
        data.page.text = "other_metric 1\n"
        batch = await world.read()
        assert not batch.missing
        assert (await world.look())["errors"].value is None

    @pytest.mark.parametrize("text", ["", "other_metric 1\n"])
    async def test_series_that_come_back_do_not_count_from_zero(self, world: World, data: Data, text: str) -> None:
        data.write(canary=(10**6, 10**6))
        await world.look()
        before, data.page.text = data.page.text, text
        await world.look()
        data.page.text = before
        assert (await world.look())["errors"].requests == 0

    async def test_value_that_was_no_count_does_not_count_from_zero_afterwards(self, world: World, data: Data) -> None:
        data.write(canary=(10**6, 10**6))
        good = data.page.text
        data.page.text = good.replace("} 1000000", "} NaN")
        await world.look()
        data.page.text = good
        assert (await world.look())["errors"].requests == 0

    @pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-5"])
    async def test_values_that_are_no_counts_are_dropped(self, world: World, data: Data, value: str) -> None:
        await world.look()
        data.write(canary=(190, 10))
        data.page.text = data.page.text.replace("} 190", f"}} {value}")
        reports = await world.look()
        assert reports["errors"].state != "failed"
        assert world.state.dropped > 0

    @pytest.mark.parametrize("text", ["<html>Sign in</html>", "http_requests_total{ 1", "a{b=} 2\n", "\x00\xff"])
    async def test_page_that_is_no_metrics_never_breaks_the_observer(self, world: World, data: Data, text: str) -> None:
        data.page.text = text + "\nhttp_requests_total{ 1\nenvoy_cluster_canary_upstream_rq_xx{ 1\n"
        batch = await world.read()
        assert [gap.source for gap in batch.missing if gap.slot == "canary"] == [data.source]

    @pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
    async def test_refusals_are_missing_data_with_the_status(self, world: World, data: Data, status: int) -> None:
        data.page.status = status
        batch = await world.read()
        gaps = [gap for gap in batch.missing if gap.slot == "canary"]
        assert [str(status) in gap.message for gap in gaps] == [True]

    async def test_slow_page_is_missing_data(self, world: World, data: Data) -> None:
        data.page.hang = asyncio.Event()
        batch = await world.read()
        assert "did not answer within 0.3 s" in batch.missing[0].message

    async def test_refused_connection_is_missing_data(
        self, world: World, pages: dict[str, Page], instances: Instances, source: str
    ) -> None:
        async with served(Page()) as gone:
            address = gone.address
        settings = OpenMetricsSettings(envoys=(f"http://{address}",), timeout=0.3)
        slots: dict[Slot, list[Endpoint]] = {"canary": [an_endpoint(address)], "stable": []}
        provider = OpenMetricsProvider(settings, Instances(slots))
        world.provider = provider
        batch = await world.read()
        await provider.close()
        assert [gap.message for gap in batch.missing if gap.slot == "canary"]
        assert all("cannot be read" in gap.message for gap in batch.missing)

    async def test_messages_carry_no_query(self, world: World, data: Data) -> None:
        data.page.status = 500
        assert "?" not in (await world.read()).missing[0].message

    async def test_exemplars_and_timestamps_are_passed_by(self, world: World, data: Data) -> None:
        await world.look()
        data.write(canary=(190, 10))
        data.page.text = data.page.text.replace("} 190\n", '} 190 # {trace_id="x"} 1.0\n').replace(
            "} 10\n", "} 10 1700000000000\n"
        )
        assert (await world.look())["errors"].value == pytest.approx(10)

    async def test_source_nobody_has_is_missing_data(self, world: World) -> None:
        world.analysis = an_analysis("istio")
        batch = await world.read()
        assert "has no source istio; it has app, envoy" in batch.missing[0].message

    async def test_hundred_observers_ask_a_page_once_per_tick(self, world: World, data: Data) -> None:
        await asyncio.gather(*(world.read() for _ in range(100)))
        assert data.page.asked == 1
        world.clock.time += 5
        await asyncio.gather(*(world.read() for _ in range(100)))
        assert data.page.asked == 2

    async def test_fresh_question_is_asked_again(self, world: World, data: Data) -> None:
        await world.read()
        await world.read()
        await world.read(fresh=True)
        assert data.page.asked == 2

    async def test_refused_questions_become_rare(self, world: World, data: Data) -> None:
        data.page.status = 429
        data.page.headers = {"Retry-After": "20"}
        for _ in range(8):
            assert (await world.read()).missing
            world.clock.time += 5
        assert data.page.asked == 2
        data.page.status, data.page.headers = 200, {}
        world.clock.time += 60
        assert not (await world.read()).missing

    async def test_lost_questioner_loses_nobody_elses_answer(self, world: World, data: Data) -> None:
        data.page.hang = asyncio.Event()
        first = asyncio.create_task(world.read())
        second = asyncio.create_task(world.read())
        await data.page.was_asked.wait()
        first.cancel()
        data.page.hang.set()
        assert not (await second).missing


class TestEnvoySource:
    @pytest.fixture
    def source(self) -> str:
        return "envoy"

    async def test_only_what_is_needed_is_asked(self, world: World, data: Data) -> None:
        await world.read()
        assert "usedonly" in data.page.urls[0]
        assert "upstream_rq_time" in data.page.urls[0]
        world.analysis = Analysis.model_validate(
            {"metrics": [{"name": "errors", "source": "envoy", **RULES["errors"]}]}
        )
        await world.read()
        assert "upstream_rq_time" not in data.page.urls[1]

    async def test_clusters_of_other_routes_are_not_ours(self, world: World, data: Data) -> None:
        await world.look()
        data.write(canary=(190, 10))
        data.page.text += envoy_page("other", canary=(10**6, 10**6)) + envoy_page("trip-2", canary=(10**6, 10**6))
        assert (await world.look())["errors"].requests == 100

    async def test_envoy_that_tags_whole_cluster_names_is_understood(self, world: World, data: Data) -> None:
        data.page.text = (
            'envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="trip.canary"} 5\n'
        )
        await world.look()
        data.page.text = (
            'envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="trip.canary"} 9\n'
        )
        assert (await world.look())["errors"].requests == 4

    async def test_own_series_are_read_from_both_slots(self, world: World, data: Data) -> None:
        extra = {
            "name": "timeouts",
            "kind": "ratio",
            "source": "envoy",
            "bad": "envoy_cluster_upstream_rq_timeout",
            "total": "envoy_cluster_upstream_rq_total",
            "rule": {"rollback": "10%", "interval": "5s"},
        }
        world.analysis = an_analysis("envoy", extra)
        lines = 'envoy_cluster_canary_upstream_rq_{}{{envoy_cluster_name="trip"}} {}\n'
        data.page.text = lines.format("timeout", 1) + lines.format("total", 100)
        await world.look()
        data.page.text = lines.format("timeout", 6) + lines.format("total", 200)
        assert (await world.look())["timeouts"].value == pytest.approx(5)
        assert "%5C.trip%5C." in data.page.urls[0]

    async def test_component_without_a_route_is_said(self, world: World) -> None:
        query = Query(a_target(kind="none"), world.analysis.metrics, ("canary",), (), "v2", world.clock, 2.5)
        assert "has no Envoy route" in (await world.provider.read(query)).missing[0].message

    async def test_settings_without_an_envoy_are_said(self, instances: Instances) -> None:
        provider = OpenMetricsProvider(OpenMetricsSettings(), instances)
        world = World(provider, FakeClock(), an_analysis("envoy"))
        assert "name no Envoy" in (await world.read()).missing[0].message


class TestAppSource:
    @pytest.fixture
    def source(self) -> str:
        return "app"

    async def test_gauges_of_all_instances_become_one(self, world: World, pages: dict[str, Page], data: Data) -> None:
        gauge = {"name": "queue", "kind": "gauge", "series": 'queue_depth{queue="ai"}', "rule": {"rollback": 100}}
        world.analysis = an_analysis("app", gauge)
        assert (await world.look())["queue"].value == 12

    async def test_instance_that_started_within_the_tick_counts_from_zero(
        self, world: World, instances: Instances, data: Data
    ) -> None:
        await world.look()
        async with served(Page(app_page(30, 10, started=world.clock.time + 2))) as born:
            instances.slots["canary"] = [an_endpoint(born.address, token="born")]
            assert (await world.look())["errors"].value == pytest.approx(25)

    async def test_instance_that_was_there_before_adds_nothing_at_first_sight(
        self, world: World, instances: Instances, data: Data
    ) -> None:
        await world.look()
        async with served(Page(app_page(10**6, 10**6, started=5))) as old:
            instances.slots["canary"].append(an_endpoint(old.address, token="old"))
            assert (await world.look())["errors"].requests == 0

    async def test_vanished_instance_adds_nothing(self, world: World, instances: Instances, data: Data) -> None:
        async with served(Page(app_page(500, 0))) as second:
            instances.slots["canary"].append(an_endpoint(second.address, token="second"))
            await world.look()
            instances.slots["canary"].pop()
            data.write(canary=(150, 0))
            assert (await world.look())["errors"].requests == 50

    async def test_slot_that_is_being_replaced_is_told_apart_by_version(
        self, world: World, instances: Instances, data: Data
    ) -> None:
        async with served(Page(app_page(0, 0))) as other:
            ours, theirs = instances.slots["canary"][0], an_endpoint(other.address, version="v1", token="old")
            instances.slots["canary"] = [ours._replace(version="v2"), theirs]
            await world.look()
            other.text = app_page(0, 1000)
            data.write(canary=(200, 0))
            assert (await world.look())["errors"].value == 0

    async def test_no_ready_instance_is_not_covered(self, world: World, instances: Instances, data: Data) -> None:
        instances.slots["canary"] = []
        report = (await world.look())["errors"]
        assert report.state == "noData"
        assert "no instance of the new version is ready" in report.sentence

    @pytest.mark.parametrize("label", ["code", "status", "status_code", "http_response_status_code"])
    async def test_status_is_found_under_its_usual_names(self, world: World, data: Data, label: str) -> None:
        await world.look()
        data.write(canary=(190, 10))
        data.page.text = data.page.text.replace("code=", f"{label}=")
        data.page.text = data.page.text.replace('path="/",', "")
        assert (await world.look())["errors"].state != "failed"


class TestNull:
    async def test_null_never_has_data(self) -> None:
        world = World(NullMetrics(), FakeClock(), an_analysis("app"))
        batch = await world.read()
        assert not batch.units
        assert {gap.slot for gap in batch.missing} == {"canary", "stable"}


class TestRegistry:
    def test_without_settings_there_is_main(self, instances: Instances) -> None:
        assert metrics_providers({}, instances).kinds == ("main",)

    def test_unknown_name_is_refused_with_the_known_ones(self, instances: Instances) -> None:
        named: dict[str, MetricsSettings] = {"main": OpenMetricsSettings(), "none": NullMetricsSettings()}
        with pytest.raises(Unsupported, match="main, none"):
            metrics_providers(named, instances).get("prod")
