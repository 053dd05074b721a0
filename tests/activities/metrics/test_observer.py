"""One observation as an activity: when it looks, when it ends, and what survives a lost worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from temporalio import activity

from activities.metrics.activities import Metrics
from activities.metrics.null import NullMetrics
from activities.metrics.openmetrics import OpenMetricsProvider, OpenMetricsSettings
from activities.registry import Registry
from activities.traffic.keeping import Keeping
from activities.traffic.null import NoRouter
from tests.activities.metrics.observing import Attempts, a_request, an_analysis, metrics, nobody_else
from tests.activities.metrics.pages import FakeClock, Instances, Page, an_endpoint, app_page, served
from workflows.analysis import reasons
from workflows.contracts.metrics import ObserveRequest
from workflows.errors import ForeignChange, Rejected, Unsupported
from workflows.model.target import Target


class Service:
    """One instance of the new version that serves 10 requests a second in the observer's time."""

    def __init__(self, page: Page, clock: FakeClock) -> None:
        self.page = page
        self.clock = clock
        self.good = 100.0
        self.bad = 0.0
        self.share = 0.0
        self.last = clock.time
        clock.before = self.serve
        self.serve()

    def serve(self) -> None:
        requests = (self.clock.time - self.last) * 10
        self.last = self.clock.time
        self.good += requests * (1 - self.share)
        self.bad += requests * self.share
        self.page.text = app_page(self.good, self.bad)


class World:
    """A service behind a real page, observed by the real provider."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clock = FakeClock()
        self.service = Service(page, self.clock)
        self.instances = Instances({"canary": [an_endpoint(page.address)]})
        self.provider = OpenMetricsProvider(OpenMetricsSettings(timeout=0.3), self.instances, now=self.clock.now)
        self.metrics = metrics(self.provider, self.clock)

    def attempts(self, request: ObserveRequest) -> Attempts:
        return Attempts(self.metrics, request)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with served(Page()) as page:
        world = World(page)
        yield world
        await world.provider.close()


async def test_good_version_passes_after_its_observed_time(world: World) -> None:
    start = world.clock.time
    observed = await world.attempts(a_request(need_seconds=60)).start()
    assert (observed.decision.verdict, observed.decision.reason) == ("pass", reasons.TIME_REACHED)
    assert observed.observed_seconds == 60
    assert world.clock.time - start == 60
    assert observed.metrics[0].requests == 600


async def test_bad_version_ends_the_segment_at_its_first_failed_sample(world: World) -> None:
    world.service.share = 0.2
    start = world.clock.time
    observed = await world.attempts(a_request(need_seconds=600)).start()
    assert (observed.decision.verdict, observed.decision.reason) == ("rollback", reasons.RULE_FAILED)
    assert world.clock.time - start <= 10
    assert "errors: 20%" in observed.decision.message


async def test_segment_ends_at_its_limit_with_continue(world: World) -> None:
    observed = await world.attempts(a_request(limit_seconds=30)).start()
    assert (observed.decision.verdict, observed.decision.reason) == ("continue", reasons.SEGMENT_ENDED)
    assert observed.observed_seconds == 30


async def test_evidence_goes_on_in_the_next_segment(world: World) -> None:
    rule = {"rollback": "5%", "interval": "5s", "failureLimit": 3}
    analysis = an_analysis({"name": "errors", "kind": "ratio", "source": "app", "rule": rule})
    world.service.share = 0.2
    request = a_request(analysis=analysis, limit_seconds=12)
    first = await world.attempts(request).start()
    assert first.metrics[0].failures == 2
    second = await world.attempts(request.model_copy(update={"segment": 2, "evidence": first.evidence})).start()
    assert (second.decision.verdict, second.metrics[0].failures) == ("rollback", 4)


async def test_cancelled_observation_returns_what_it_has(world: World) -> None:
    attempts = world.attempts(a_request(need_seconds=10**6))
    running = attempts.start()
    await attempts.beaten(5)
    attempts.environment.cancel()
    observed = await asyncio.wait_for(running, 2)
    assert (observed.decision.verdict, observed.decision.reason) == ("continue", reasons.CANCELLED)
    assert observed.observed_seconds > 0
    assert observed.evidence.metrics["errors"]


async def test_a_cancellation_in_the_moment_when_a_nap_ends_is_heard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = world.attempts(a_request(need_seconds=10**6))
    ended = 0

    async def shutdown() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended += 1
            if ended == 3:
                attempts.environment.cancel()

    monkeypatch.setattr(activity, "wait_for_worker_shutdown", shutdown)
    observed = await asyncio.wait_for(attempts.start(), 5)
    assert observed.decision.reason == reasons.CANCELLED
    assert ended == 3


async def test_worker_that_stops_hands_over_at_once(world: World) -> None:
    attempts = world.attempts(a_request(need_seconds=10**6))
    running = attempts.start()
    await attempts.beaten(3)
    attempts.environment.worker_shutdown()
    observed = await asyncio.wait_for(running, 2)
    assert (observed.decision.verdict, observed.decision.reason) == ("continue", reasons.SEGMENT_ENDED)


async def killed_after(attempts: Attempts, *, beats: int) -> None:
    """Lets an attempt live for some heartbeats; what it would have returned is lost."""
    running = attempts.start()
    await attempts.beaten(beats)
    attempts.environment.cancel()
    await running


async def test_later_attempt_goes_on_where_the_last_heartbeat_was(world: World) -> None:
    attempts = world.attempts(a_request(need_seconds=120))
    await killed_after(attempts, beats=10)
    observed = await attempts.start()
    assert observed.decision.verdict == "pass"
    assert observed.observed_seconds == pytest.approx(120, abs=5)


async def test_hour_without_a_worker_rolls_back_first_thing_when_it_was_bad(world: World) -> None:
    attempts = world.attempts(a_request(need_seconds=600))
    await killed_after(attempts, beats=4)
    world.service.share = 0.5
    world.clock.time += 3600
    world.service.serve()
    asked = world.page.asked
    observed = await attempts.start()
    assert observed.decision.verdict == "rollback"
    assert world.page.asked == asked + 1


async def test_hour_without_a_worker_never_helps_to_pass(world: World) -> None:
    attempts = world.attempts(a_request(need_seconds=600, limit_seconds=10_000))
    await killed_after(attempts, beats=4)
    world.clock.time += 3600
    world.service.serve()
    start = world.clock.time
    observed = await attempts.start()
    assert observed.decision.verdict == "pass"
    assert world.clock.time - start >= 580
    assert observed.gap_seconds == pytest.approx(3600, abs=10)


async def test_attempt_after_the_limit_looks_once_and_ends(world: World) -> None:
    attempts = world.attempts(a_request(limit_seconds=60))
    await killed_after(attempts, beats=4)
    world.clock.time += 3600
    asked = world.page.asked
    observed = await attempts.start()
    assert observed.decision.reason == reasons.SEGMENT_ENDED
    assert world.page.asked == asked + 1


@pytest.mark.parametrize("details", [{"segment": "x"}, {"segment": 7, "started": 0, "evidence": {}}, "nonsense", None])
async def test_heartbeat_that_says_nothing_useful_is_ignored(world: World, details: object) -> None:
    attempts = world.attempts(a_request(need_seconds=10))
    attempts.beats.append(details)
    assert (await attempts.start()).decision.verdict == "pass"


async def test_heartbeats_are_frequent_and_small(world: World) -> None:
    world.service.page.text = app_page(1, 0)
    rule = {"rollback": "5%", "interval": "30s"}
    metric = {"name": "errors", "kind": "ratio", "source": "app", "rule": rule}
    attempts = world.attempts(a_request(limit_seconds=60, analysis=an_analysis(metric, tick="30s")))
    await attempts.start()
    assert len(attempts.beats) >= 12
    assert max(len(json.dumps(beat)) for beat in attempts.beats) < 16 * 1024


async def test_source_that_is_down_holds_after_the_patience_and_raises_nothing(world: World) -> None:
    world.page.status = 500
    start = world.clock.time
    observed = await world.attempts(a_request(need_seconds=600, analysis=an_analysis(patience="30s"))).start()
    assert (observed.decision.verdict, observed.decision.reason) == ("hold", reasons.PROVIDER_ERRORS)
    assert 30 < world.clock.time - start <= 40
    assert observed.observed_seconds == 0
    assert observed.metrics[0].state == "noData"


async def test_cluster_that_does_not_know_its_instances_is_missing_data(world: World) -> None:
    world.instances.is_down = True
    observed = await world.attempts(a_request(analysis=an_analysis(patience="30s"))).start()
    assert (observed.decision.verdict, observed.decision.reason) == ("hold", reasons.PROVIDER_ERRORS)
    assert "the cluster does not answer" in observed.decision.message


async def test_without_analysis_only_time_is_observed() -> None:
    clock = FakeClock()
    observed = await Attempts(metrics(None, clock), a_request(analysis=None, need_seconds=60)).start()
    assert (observed.decision.verdict, observed.observed_seconds, observed.metrics) == ("pass", 60, ())


async def test_time_without_a_worker_is_not_observed_without_analysis_either() -> None:
    clock = FakeClock()
    attempts = Attempts(metrics(None, clock), a_request(analysis=None, need_seconds=60, limit_seconds=10_000))
    await killed_after(attempts, beats=5)
    clock.time += 3600
    start = clock.time
    observed = await attempts.start()
    assert observed.decision.verdict == "pass"
    assert clock.time - start > 35


async def test_last_second_of_the_wanted_time_comes_only_with_pass(world: World) -> None:
    request = a_request(need_seconds=30, limit_seconds=300, analysis=an_analysis(minRequests=10**6, patience="1m"))
    observed = await world.attempts(request).start()
    assert (observed.decision.verdict, observed.decision.reason) == ("hold", reasons.TOO_FEW_REQUESTS)
    assert observed.observed_seconds == 29


async def test_all_observers_look_at_the_same_moments(world: World) -> None:
    world.clock.time = 1_000_003.2
    world.service.last = world.clock.time
    start = world.clock.time
    await world.attempts(a_request(limit_seconds=20)).start()
    looks = [start + sum(world.clock.slept[: i + 1]) for i in range(len(world.clock.slept))]
    assert 1_000_005 in looks
    assert 1_000_010 in looks


async def test_first_look_of_a_segment_is_never_an_old_answer(world: World) -> None:
    await world.attempts(a_request(limit_seconds=0)).start()
    world.clock.time += 0.1
    asked = world.page.asked
    await world.attempts(a_request(limit_seconds=0)).start()
    assert world.page.asked == asked + 1


async def test_unknown_provider_is_refused_by_name(world: World) -> None:
    with pytest.raises(Unsupported, match="main"):
        await world.attempts(a_request(analysis=an_analysis(provider="other"))).start()


async def test_analysis_of_another_version_is_refused(world: World) -> None:
    with pytest.raises(Rejected, match="older than the release"):
        await world.attempts(a_request(analysis={"metrics": [{"kind": "trace"}]})).start()


async def test_fields_of_a_newer_worker_are_ignored(world: World) -> None:
    request = a_request(need_seconds=10, analysis={**an_analysis(), "newField": 1})
    assert (await world.attempts(request).start()).decision.verdict == "pass"


async def test_a_foreign_change_ends_a_watchful_segment_with_its_field(world: World) -> None:
    async def change(_: Target) -> ForeignChange:
        field = "Service shop/trip: /spec/selector"
        return ForeignChange(f"{field} was written as a=b and is a=c", field=field)

    activities = metrics(world.provider, world.clock, change)
    told = await Attempts(activities, a_request(is_watchful=True)).start()
    assert (told.decision.verdict, told.decision.reason) == ("hold", reasons.FOREIGN_CHANGE)
    assert told.decision.message.startswith("Service shop/trip: /spec/selector was written as a=b and is a=c")
    assert told.foreign == "Service shop/trip: /spec/selector"
    unwatched = await Attempts(activities, a_request(limit_seconds=10)).start()
    assert (unwatched.decision.reason, unwatched.foreign) == (reasons.SEGMENT_ENDED, "")


class Followed(NoRouter):
    """A router that says when it follows, and when it is let go."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    async def follow(self, target: Target) -> None:
        self._said.append(target.component)
        try:
            await asyncio.Event().wait()
        finally:
            self._said.append("let go")


async def test_what_a_router_names_is_followed_for_as_long_as_it_is_observed() -> None:
    clock, said = FakeClock(), list[str]()
    keeping = Keeping(Registry("traffic", {"envoy": lambda: Followed(said)}))
    activities = Metrics(Registry("metrics", {"main": NullMetrics}), nobody_else, keeping, clock=lambda: clock)
    await Attempts(activities, a_request(limit_seconds=10)).start()
    assert said == ["trip", "let go"]


async def test_score_survives_a_worker_that_is_lost_and_rolls_back(world: World) -> None:
    """Samples of both versions travel with the heartbeats, and the score is made of all of them."""
    canary = {"canary": {"direction": "increase"}}
    metric = {"name": "errors", "kind": "ratio", "source": "app", **canary}
    analysis = {"metrics": [metric], "judge": "kayenta", "kayenta": {"step": "5s", "interval": "1m"}, "minRequests": 0}
    async with served(Page(app_page(1000, 0))) as stable:
        world.instances.slots["stable"] = [an_endpoint(stable.address)]
        served_before = iter(range(1000, 10**6, 50))
        before = world.clock.before

        def both() -> None:
            before()
            stable.text = app_page(next(served_before), 0)

        world.clock.before, world.service.share = both, 0.3
        attempts = world.attempts(a_request(analysis=analysis, old=("stable",), weights={"canary": 10, "stable": 90}))
        running = attempts.start()
        await attempts.beaten(5)
        attempts.environment.cancel()
        assert (await running).decision.reason == reasons.CANCELLED
        observed = await attempts.start()
    assert (observed.decision.verdict, observed.decision.reason) == ("rollback", reasons.SCORE_TOO_LOW)
    assert observed.weighed
    assert observed.weighed.score
    assert observed.weighed.score.samples == 12
