"""What an observation concludes from a Prometheus depends on the data alone, however often its worker is lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.activities.metrics.prometheus.recording import Observation, an_observation, errors, latency
from tests.prometheus import Prometheus, Service, a_prometheus
from tests.prometheus import canary as names_of_canary
from tests.prometheus import stable as names_of_stable
from workflows.contracts.metrics import Observed

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SECONDS = 40


class Recording(NamedTuple):
    """What happened, and where it is stored."""

    server: Prometheus
    began: float


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recording(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recording]:
    """Two versions and everything that can go wrong with them and their metrics, scraped for real."""
    stable = [Service(pod, rate=90, bad=0.01) for pod in names_of_stable(count=3)]
    canary = [Service(pod, rate=40, bad=0.02) for pod in names_of_canary(count=2)]
    async with a_prometheus(tmp_path_factory.mktemp("prometheus"), *stable, *canary) as server:
        await asyncio.sleep(4)  # Ticks before the first one.
        began = time.time()
        await _happen(server, stable, canary)
        await server.scraped(f"timestamp(up) > {began + SECONDS + 1}")
        yield Recording(server, began)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(recording: Recording) -> Observed:
    """What one worker sees that nobody disturbs."""
    return await _observed(recording, (SECONDS, ()))


async def _happen(server: Prometheus, stable: list[Service], canary: list[Service]) -> None:
    """Each thing lasts a while: what a test records takes the time that it takes."""
    began = time.monotonic()

    async def at(second: float) -> None:
        await asyncio.sleep(began + second - time.monotonic())

    await at(5.3)
    stable[0].restart()
    await at(9)
    await server.remove(canary[1].pod)
    await at(12)
    await server.add(Service(names_of_canary()[2], rate=40, bad=0.02))
    await at(16)
    stable[1].status = 500
    await at(18.5)
    stable[1].status = 200
    await at(21)
    canary[0].is_nonsense = True
    await at(22.2)
    canary[0].is_nonsense = False
    await at(25)
    stable[2].tags = ',team="trips"'
    await at(28)
    stable[2].change(bad=0.2)
    canary[0].change(bad=0.2)
    await at(31)
    stable[2].change(bad=0.01)
    canary[0].change(bad=0.01)
    await at(SECONDS)


def _concluded(observed: Observed) -> Any:
    session = observed.evidence.metrics["@session"]
    metrics = {name: state for name, state in observed.evidence.metrics.items() if name != "@session"}
    return metrics, session["weighed"], session["at"]


ANALYSIS = an_observation(errors(), latency(), evidence={"alpha": "0.0001%"}, patience="1m")


async def _observed(recording: Recording, *segments: tuple[float, tuple[int, ...]]) -> Observed:
    run = Observation(recording.server.url, recording.began, ANALYSIS)
    try:
        found = [await run.segment(seconds, *kills) for seconds, kills in segments]
        assert {each.decision.verdict for each in found} == {"continue"}
        return found[-1]
    finally:
        await run.close()


async def test_whole_run_sees_what_happened(whole: Observed) -> None:
    found = {report.name: report.evidence for report in whole.metrics}
    assert found["errors"]
    assert found["latency"]
    assert found["errors"].baseline_total > 5_000
    assert found["errors"].total > 1_200
    assert found["errors"].used > SECONDS / 2
    assert whole.evidence.metrics["@session"]["dropped"] > 0
    assert "raw" not in whole.evidence.metrics["@session"]


@pytest.mark.parametrize("seed", range(20))
async def test_any_split_and_any_lost_workers_leave_the_same_evidence_to_the_last_bit(
    recording: Recording, whole: Observed, seed: int
) -> None:
    draw = random.Random(seed)
    cuts = sorted(draw.uniform(1, SECONDS - 1) for _ in range(draw.randint(0, 6)))
    lengths = [b - a for a, b in zip([0.0, *cuts], [*cuts, float(SECONDS)], strict=True)]
    segments = [(length, tuple(draw.randint(1, 3) for _ in range(draw.randint(0, 3)))) for length in lengths]
    assert _concluded(await _observed(recording, *segments)) == _concluded(whole)
