"""What may befall a Prometheus and what it scrapes: never a wrong promotion, never a rollback without evidence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.metrics import measuring
from cli.imports import analysis_of
from tests.activities.metrics.observing import metrics
from tests.activities.metrics.pages import FakeClock
from tests.activities.metrics.prometheus.recording import (
    Observation,
    Recorded,
    a_deployment,
    an_observation,
    errors,
    latency,
    settings,
)
from tests.activities.metrics.prometheus.shops import AFTER, OUTAGE, RATES, SECONDS, USUAL, happen
from tests.prometheus import Prometheus, a_prometheus, stable
from workflows.analysis import reasons
from workflows.contracts.metrics import BacktestRequest, Observed
from workflows.errors import Rejected
from workflows.model.analysis import Analysis
from workflows.model.backtest import Backtested

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


class World(NamedTuple):
    server: Prometheus
    began: float

    async def observe(self, shop: str, *metrics: dict[str, Any], seconds: float = SECONDS, **fields: Any) -> Observed:
        """One segment over what was recorded of an application."""
        need = fields.pop("need", None)
        analysis = an_observation(*metrics, **{"patience": "6s", "minRequests": 300, **fields})
        run = Observation(self.server.url, self.began, analysis, deployment=shop, need_seconds=need)
        try:
            return await run.segment(seconds)
        finally:
            await run.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield World(server, await happen(server))


def said(observed: Observed) -> tuple[str, str]:
    return observed.decision.verdict, observed.decision.reason


BOTH = (errors(), latency())


def a_canary_config() -> dict[str, Any]:
    """As Kayenta has it, with its own PromQL."""
    requests = 'http_requests_total{namespace="${location}",pod=~"${scope}-.*"'
    promql = f'100 * sum(rate({requests},code=~"5.."}}[4s])) / sum(rate({requests}}}[4s]))'
    query = {"type": "prometheus", "customInlineTemplate": f"PromQL:{promql}"}
    configurations = {"canary": {"direction": "increase", "critical": True}}
    metric = {"name": "Error Rate", "query": query, "groups": ["Errors"], "analysisConfigurations": configurations}
    return {"metrics": [metric], "judge": {"name": "NetflixACAJudge-v1.0"}}


@pytest.mark.parametrize(("shop", "verdict", "label"), [("bad", "rollback", "High"), ("good", "continue", "Pass")])
async def test_canary_config_of_kayenta_judges_by_its_own_queries(
    world: World, shop: str, verdict: str, label: str
) -> None:
    imported = analysis_of(a_canary_config(), {})
    kayenta = {"step": "1s", "interval": "10s"}
    observed = await world.observe(shop, *imported["metrics"], judge="kayenta", kayenta=kayenta, seconds=35)
    assert observed.decision.verdict == verdict, observed.decision.message
    assert observed.weighed
    assert observed.weighed.score
    assert observed.weighed.score.classes == {"error-rate": label}


async def test_traffic_before_a_release_is_what_the_running_version_served(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven looks at the seconds that were recorded, instead of at an hour."""
    monkeypatch.setattr(measuring, "HOUR", float(SECONDS))
    monkeypatch.setattr(measuring, "STRETCH", 2.0)
    provider = Recorded(settings(world.server.url))
    analysis = Analysis.model_validate(an_observation())
    measured = await measuring.measure(provider, analysis, a_deployment("good"), FakeClock(world.began + SECONDS))
    await provider.close()
    assert measured.message == "measured over the last hour"
    served = await world.observe("good", need=12)
    evidence = served.metrics[0].evidence
    assert evidence
    assert measured.requests_per_second == pytest.approx(evidence.baseline_total / served.observed_seconds, rel=0.3)


@pytest.mark.parametrize("shop", ["good", "restarts", "pods", "labels", "busy"])
async def test_good_version_passes_whatever_befalls_its_metrics(world: World, shop: str) -> None:
    observed = await world.observe(shop, *BOTH, need=12, patience="10s")
    assert said(observed) == ("pass", reasons.TIME_REACHED), observed.decision.message


async def test_bad_version_is_rolled_back_by_evidence(world: World) -> None:
    observed = await world.observe("bad", *BOTH)
    assert said(observed) == ("rollback", reasons.EVIDENCE_FOUND)
    assert "a healthy version shows this less than once in" in observed.decision.message
    failed = observed.metrics[0].evidence
    assert failed
    assert failed.bad < 120


@pytest.mark.parametrize("shop", ["good", "restarts", "pods", "gaps", "labels", "busy", "outage", "nonsense", "rare"])
async def test_nobody_is_blamed_for_what_is_not_his(world: World, shop: str) -> None:
    """Over everything that was recorded, outage included, and with an alpha that is easily reached."""
    modes = {"compare": {"maxRatio": 1.5}}
    metrics = (errors(**modes), latency(**modes))
    observed = await world.observe(shop, *metrics, seconds=SECONDS + OUTAGE + AFTER, patience="1m")
    assert observed.decision.verdict == "continue", observed.decision.message
    assert observed.weighed
    assert observed.weighed.peak < 3
    counted = observed.metrics[0].evidence
    if counted and shop != "pods":
        served = 2 * RATES.get(shop, USUAL)[1] * (SECONDS + OUTAGE + AFTER + 3)
        assert counted.total <= served, "nothing is invented"


async def test_incident_of_both_versions_asks_people(world: World) -> None:
    observed = await world.observe("incident", errors(slo={"max": "2%"}, compare={}))
    assert said(observed) == ("hold", reasons.INCIDENT)


async def test_version_without_series_is_held_and_the_query_named(world: World) -> None:
    observed = await world.observe("nobody", *BOTH)
    assert said(observed) == ("hold", reasons.PROVIDER_ERRORS)
    assert 'Prometheus has no http_requests_total{namespace="prod",pod=~"nobody-canary-' in observed.decision.message


async def test_version_that_says_nothing_but_nonsense_is_held(world: World) -> None:
    observed = await world.observe("nonsense", *BOTH)
    assert said(observed) == ("hold", reasons.NO_DATA)


async def test_version_whose_pods_end_is_held(world: World) -> None:
    observed = await world.observe("silenced", *BOTH, need=30)
    assert said(observed) == ("hold", reasons.PROVIDER_ERRORS)
    assert observed.observed_seconds < SECONDS / 2 + 3


async def test_request_a_minute_never_passes_and_holds_with_its_reason(world: World) -> None:
    observed = await world.observe("rare", *BOTH, need=20, patience="10s")
    assert said(observed) == ("hold", reasons.NO_DATA)
    assert "no requests reached the new version" in observed.decision.message
    few = await world.observe("rare", errors(rule={"rollback": "5%", "interval": "1s"}), need=5, patience="1m")
    assert few.decision.verdict == "continue"


async def test_outage_holds_after_the_patience_and_is_no_observed_time(world: World) -> None:
    observed = await world.observe("outage", *BOTH, seconds=SECONDS + OUTAGE + AFTER, need=SECONDS + OUTAGE)
    assert said(observed) == ("hold", reasons.PROVIDER_ERRORS)
    patient = await world.observe(
        "outage", *BOTH, seconds=SECONDS + OUTAGE + AFTER, need=SECONDS + OUTAGE, patience="1m"
    )
    assert patient.decision.verdict == "continue"
    assert SECONDS <= patient.observed_seconds <= SECONDS + AFTER


class TestBacktests:
    """What is asked for by labels is judged as what was observed."""

    async def ask(self, world: World, canary: str, stable: str, *given: dict[str, Any], **fields: Any) -> Backtested:
        request = BacktestRequest(
            analysis=an_observation(*given, minRequests=300),
            canary=canary,
            stable=stable,
            since=world.began,
            until=fields.pop("until", world.began + SECONDS),
            **fields,
        )
        provider = Recorded(settings(world.server.url))
        try:
            activities = metrics(provider, FakeClock(world.began + SECONDS + OUTAGE + AFTER))
            return await ActivityEnvironment().run(activities.backtest, request)
        finally:
            await provider.close()

    async def test_bad_version_would_have_been_rolled_back(self, world: World) -> None:
        found = await self.ask(world, 'pod=~"bad-canary-.*"', 'pod=~"bad-.*",pod!~"bad-canary-.*"', *BOTH)
        observed = await world.observe("bad", *BOTH)
        assert [turn.decision.verdict for turn in found.turns][-1] == "rollback"
        assert found.windows[0].after_seconds < 24
        assert found.evidence
        assert observed.weighed
        assert found.evidence.peak == pytest.approx(observed.weighed.peak, rel=0.5)

    async def test_same_version_on_both_sides_raises_no_false_alarm(self, world: World) -> None:
        one, *_ = pods = stable("good", 3)
        sides = f'pod="{one}"', f'pod=~"{"|".join(pods)}",pod!="{one}"'
        found = await self.ask(world, *sides, *BOTH, window_seconds=10)
        assert len(found.windows) == 3
        assert {window.decision.verdict for window in found.windows} <= {"pass", "continue"}
        assert found.timeline
        assert sum(found.timeline.lines["errors"].total) > 500

    async def test_series_that_are_not_there_are_refused_by_name(self, world: World) -> None:
        with pytest.raises(Rejected, match=r'no http_requests_total\{pod=~"nobody.\*"\}'):
            await self.ask(world, 'pod=~"nobody.*"', 'pod=~"good-.*"', errors())

    async def test_time_that_is_not_over_is_left_out(self, world: World) -> None:
        sides = 'pod=~"good-canary-.*"', 'pod=~"good-.*",pod!~"good-canary-.*"'
        found = await self.ask(world, *sides, errors(), until=world.began + 1e6)
        assert found.timeline
        assert found.timeline.since + found.timeline.step * found.timeline.count < world.began + 1e3


async def test_two_hundred_releases_that_ask_the_same_ask_once_a_tick(world: World) -> None:
    """One release of two metrics asks for its series of both slots, and for `up`: five questions a tick."""
    ticks, counts = 3, []
    for releases in (1, 200):
        provider = Recorded(settings(world.server.url))
        runs = [Observation(provider, world.began, an_observation(*BOTH), deployment="good") for _ in range(releases)]
        found = await asyncio.gather(*(run.segment(ticks) for run in runs))
        assert {each.decision.verdict for each in found} == {"continue"}
        counts.append(provider.server.requests)
        await provider.close()
    assert counts[0] == counts[1]
    assert counts[0] <= 5 * (ticks + 1)
