"""Whole releases judged by a real Prometheus: their workers are killed, it falls silent, and it is asked afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from temporalio.contrib.pydantic import pydantic_data_converter

from cli.demo.programs import python
from cli.snapshot import Started
from tests.activities.metrics.observing import Attempts, metrics
from tests.activities.metrics.pages import FakeClock
from tests.activities.metrics.prometheus.recording import Recorded, settings
from tests.bench.ground import Ground, Layout, pid_of
from tests.bench.histories import events
from tests.bench.releases import a_release, end, first, start, until
from tests.bench.users import users
from tests.prometheus import Prometheus, a_prometheus
from workflows.contracts.metrics import Beat, Observed, ObserveRequest
from workflows.model.status import ReleaseStatus

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="module")]

RATE = 100
OUTAGE = 120.0
ROUTES = {"good": "r0", "bad": "r1", "silenced": "r2"}
ANALYSIS = {
    "tick": "1s",
    "patience": "1m",
    "minRequests": 100,
    "metrics": [{"name": "errors", "kind": "ratio", "source": "envoy", "compare": {}, "slo": {"max": "1%"}}],
}


class EnvoyStats:
    """The page of Envoy's numbers, where the server looks for pages."""

    def __init__(self, admin: str) -> None:
        self.pod, self.labels, self.address = "envoy", dict[str, str](), ""
        self.admin = admin

    async def answer(self, request: web.Request) -> web.Response:
        del request
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/stats/prometheus") as answer:
            return web.Response(body=await answer.read(), content_type="text/plain")


class Site(NamedTuple):
    """Workers, Envoy and users on a route for each test, and the server that watches them."""

    ground: Ground
    server: Prometheus

    async def release(self, route: str, observe: str = "20s", **env: str) -> tuple[Started, dict[str, Any]]:
        stages = [{"weight": 50, "observe": observe}]
        strategy = {"kind": "canary", "entry": "none", "stages": stages, "watch": "2s"}
        document = a_release(route, strategy, analysis=ANALYSIS, env=env)
        return await start(self.ground, document), document

    async def staged(self, started: Started) -> ReleaseStatus:
        """Waits until it observes its one stage."""
        return await until(self.ground, started, _is_staged)


def _is_staged(status: ReleaseStatus) -> bool:
    return any(part.phase == "Observing" and part.weight == 50 for part in status.components)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(a_prometheus(tmp_path_factory.mktemp("prometheus")))
        store = {"kind": "prometheus", "url": server.url, "scrapeInterval": "1s", "lag": "1s"}
        layout = Layout(routes=len(ROUTES), workers=2, metrics={"main": store})
        ground = await stack.enter_async_context(Ground(layout, lambda _: None))
        await server.add(EnvoyStats(ground.admin))
        stack.push_async_callback(server.remove, "envoy")
        await first(ground, *ROUTES.values(), replicas=2)
        for route in ROUTES.values():
            await stack.enter_async_context(users(ground, route, RATE))
        await server.scraped('envoy_cluster_stable_upstream_rq_xx{envoy_cluster_name="r2"} > 0')
        yield Site(ground, server)


async def test_a_killed_observer_loses_no_evidence_and_counts_none_twice(site: Site) -> None:
    started, _ = await site.release(ROUTES["good"])
    await site.staged(started)
    for pause in (3, 5):
        await asyncio.sleep(pause)
        await _kill_the_observer(site.ground, ROUTES["good"])
    await end(site.ground, started)
    segments = await _segments(site.ground, ROUTES["good"])
    assert max(attempts for *_, attempts in segments) > 1
    for scheduled, request, observed, _ in segments:
        assert await _undisturbed(site.server, scheduled, request, observed) == _weighed(observed.evidence.metrics)


async def test_the_past_of_a_bad_release_is_judged_as_the_release_was(site: Site, tmp_path: Path) -> None:
    since = time.time()
    started, document = await site.release(ROUTES["bad"], "1m", ERROR_RATE="10%")
    await end(site.ground, started, "RolledBack")
    file = tmp_path / "release.json"
    file.write_text(json.dumps(document))
    both = f'envoy_cluster_name="{ROUTES["bad"]}"'
    past = ("analyze", str(file), "--from", _iso(since), "--stable", both, "--canary", both, "-o", "json")
    found = await _headgate(site.ground, *past)
    assert found["verdicts"] == {"rollback": 1}


async def test_a_store_that_is_away_for_two_minutes_promotes_nothing_and_rolls_nothing_back(site: Site) -> None:
    started, _ = await site.release(ROUTES["silenced"])
    await site.staged(started)
    await asyncio.sleep(3)
    await site.server.stop()
    try:
        over, waits = time.monotonic() + OUTAGE, dict[str, str]()
        while time.monotonic() < over:
            (part,) = (await until(site.ground, started, lambda _: True)).components
            assert (part.weight, part.phase) in ((50, "Observing"), (50, "Paused")), part
            waits |= {part.wait.reason: part.wait.message} if part.wait else {}
            await asyncio.sleep(1)
    finally:
        await site.server.start()
    assert f"{site.server.url} cannot be asked" in waits["ProviderErrors"]
    await site.ground.headgate.resume(started.ref, by="ann")
    try:
        await asyncio.wait_for(end(site.ground, started), 180)
    except TimeoutError:
        pytest.fail(str(await until(site.ground, started, lambda _: True)))


async def _kill_the_observer(ground: Ground, route: str) -> None:
    """Kills the worker that observes, in the middle of it, and starts it again."""
    async with asyncio.timeout(60):
        # For a while the server names a worker that is dead.
        while (pid := await ground.observer(route)) not in map(pid_of, ground.workers):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    victim = next(worker for worker in ground.workers if pid_of(worker) == pid)
    victim.kill()
    await victim.ended()
    await ground.restart(victim)


async def _segments(ground: Ground, route: str) -> list[tuple[float, ObserveRequest, Observed, int]]:
    """When each observation was asked for, what was asked, what came of it, and how many attempts it took."""
    history = {event.event_id: event for event in await events(ground.client, f"rollout/local/bench/process/{route}")}
    found = []
    for event in history.values():
        if event.HasField("activity_task_completed_event_attributes"):
            done = event.activity_task_completed_event_attributes
            asked = history[done.scheduled_event_id].activity_task_scheduled_event_attributes
            if asked.activity_type.name == "metrics.observe":
                (request,) = await pydantic_data_converter.decode(asked.input.payloads, [ObserveRequest])
                (observed,) = await pydantic_data_converter.decode(done.result.payloads, [Observed])
                attempts = history[done.started_event_id].activity_task_started_event_attributes.attempt
                at = history[done.scheduled_event_id].event_time.ToNanoseconds() / 1e9
                found.append((at, request, observed, attempts))
    return [segment for segment in found if segment[2].evidence.metrics]


async def _undisturbed(server: Prometheus, scheduled: float, request: ObserveRequest, observed: Observed) -> Any:
    """What one worker that nobody kills makes of the same segment up to the same moment."""
    provider = Recorded(settings(server.url))
    seen = observed.evidence.metrics["@session"]["at"]
    request = request.model_copy(update={"limit_seconds": seen - scheduled + 3})
    attempts = Attempts(metrics(provider, FakeClock(scheduled)), request, at=scheduled)
    try:
        await attempts.start()
    finally:
        await provider.close()
    states = [Beat.model_validate(beat).evidence.metrics for beat in attempts.beats]
    return next(_weighed(state) for state in states if state.get("@session", {}).get("at") == seen)


def _weighed(evidence: dict[str, Any]) -> dict[str, Any]:
    """All but the raw counters, which an observer may keep longer than another."""
    return {**evidence, "@session": {name: evidence["@session"][name] for name in ("at", "weighed")}}


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


async def _headgate(ground: Ground, *arguments: str) -> dict[str, Any]:
    env = {**os.environ, "TEMPORAL_ADDRESS": ground.temporal, "TEMPORAL_CONFIG_FILE": os.devnull}
    process = await asyncio.create_subprocess_exec(
        *python("cli.app", *arguments), env=env, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return dict(json.loads(output))
