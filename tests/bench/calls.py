"""Calls to a real API server: of one canary with users, and of a hundred releases at once on one worker."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from activities.clusters.kubernetes.settings import KubernetesCluster
from infra.testbed.bed import bed
from tests.bench.beds import on_a_bed
from tests.bench.ledger import Ledger, read
from tests.bench.rows import Measured, Row, Say, Sheet
from tests.cluster import NEEDED
from tests.e2e.market import Market, a_market
from tests.e2e.site import Site, a_site
from tests.e2e.visitors import Visitors

MINUTE = 60.0
TICK = "10s"
STRATEGY = {
    "kind": "canary",
    "stages": [{"weight": 20, "observe": "70s"}, {"weight": 50, "observe": "70s"}],
    "watch": "70s",
}
CROWD = 100
LIMIT = KubernetesCluster().calls_per_second
BURST = KubernetesCluster().burst
WINDOW = 10.0
"""Seconds over which calls are counted while many releases run."""
HEARTBEAT = 15.0
"""Seconds after which an observer that says nothing is taken for dead."""


async def measure(say: Say) -> Measured:
    """Both, as far as there are clusters for them."""
    parts = [await part(say) for part in (_one_canary, _at_once)]
    return Measured(
        [row for part in parts for row in part.rows],
        [sheet for part in parts for sheet in part.sheets],
        [note for part in parts for note in part.notes],
    )


@on_a_bed("contour")
async def _one_canary(say: Say) -> Measured:
    """On pods that really run, behind a real gateway."""
    say("calls of one canary, on the full test bed")
    with bed("full", name="bench", crds=("contour",)) as found, tempfile.TemporaryDirectory() as folder:
        async with a_site(found, Path(folder)) as site:
            site.shop()
            await site.until_ready()
            idle = await _over(MINUTE, site)
            async with Visitors(found.gateway, site.host) as visitors:
                await visitors.until(("1.0.0", 200))
                observing, whole = await _released(site)
    told = "Flagger makes 103 to 112 for one canary at the same interval, Argo Rollouts 23 to 85"
    rows = [
        Row(f"calls a minute, one canary that observes, ticks of {TICK}", "–", [observing.a_minute], "", note=told),
        Row("… its whole release, stages of 70 s", "–", [whole.calls.total()], ""),
        Row("… a minute of two idle workers", "–", [idle.a_minute], ""),
    ]
    calls = sorted(idle.calls | observing.calls | whole.calls)
    lines = [[call, *(str(each.calls[call]) for each in (idle, observing, whole))] for call in calls]
    title = "Calls to the API server: a minute of two idle workers, a minute of observation, and a whole canary release"
    return Measured(rows, [Sheet(title, ("call", "idle", "observing", "release"), lines)])


async def _released(site: Site) -> tuple[Ledger, Ledger]:
    """What a minute of the first stage and the whole release took."""
    begun = await read(site.health)
    playing = asyncio.create_task(site.play(site.release("1.1.0", STRATEGY, analysis=_analysis())))
    while not await site.observed_weight("shop"):  # noqa: ASYNC110 - it asks a server.
        await asyncio.sleep(0.2)
    observing = await _over(MINUTE, site)
    if (end := await playing)[0] != "Succeeded":
        raise RuntimeError(f"the canary ended {end}")
    return observing, (await read(site.health)).since(begun)


async def _over(seconds: float, site: Site) -> Ledger:
    before = await read(site.health)
    await asyncio.sleep(seconds)
    return (await read(site.health)).since(before)


def _analysis() -> dict[str, object]:
    errors = {"name": "errors", "kind": "ratio", "source": "app", "rule": {"rollback": "2%", "interval": TICK}}
    return {"tick": TICK, "metrics": [errors]}


@on_a_bed(*NEEDED)
async def _at_once(say: Say) -> Measured:
    """On pods that kwok plays."""
    say(f"{CROWD} releases at once, on an API server")
    with bed(name="bench-api") as found, tempfile.TemporaryDirectory() as folder:
        async with a_market(found.kubeconfig, Path(folder)) as market:
            names = await market.open_all(CROWD)
            begun = await market.ledger()
            playing = asyncio.gather(*(_played(market, name) for name in names))
            windows = await _windows(market, playing)
            whole, lasted = (await market.ledger()).since(begun), await playing
            lost = sum([await market.lost_attempts(name) for name in names], Counter())
    for what, number in lost.items():
        say(f"{what}: {number}")
    target = f"≤ {LIMIT:g} after a burst of {BURST}"
    rates = [window.a_second for window in windows]
    waited = sum(whole.waited.values()) / whole.calls.total()
    rows = [
        Row(f"calls a second, {CROWD} releases at once", target, rates, "", limit=LIMIT + BURST / WINDOW),
        Row("… last heard of an observer", "< 15 s", [w.age for w in windows], limit=HEARTBEAT, below=True),
        Row("… attempts given up: no sign of life, too long", "0", [lost.total()], "", limit=0),
        Row("… a call waits for its turn, on average", "–", [waited]),
        Row("… a release takes", "–", lasted),
    ]
    note = (
        f"{CROWD} canaries of two pods begin at once, stages and watch of 30 s, ticks of {TICK}, on one worker: "
        f"{whole.calls.total():,} calls. Pods are kwok's and one page of metrics speaks for all of them."
    )
    lines = [[call, f"{number:,}", f"{number / CROWD:.1f}"] for call, number in sorted(whole.calls.items())]
    sheet = Sheet(f"Calls of {CROWD} canaries at once", ("call", "all", "each"), lines)
    return Measured(rows, [sheet], [note])


async def _played(market: Market, name: str) -> float:
    """How many seconds a shop's release took."""
    begun = time.monotonic()
    handle = await market.start(market.release(name, "v1"))
    if (end := await handle.result())["outcome"] != "Succeeded":
        raise RuntimeError(f"{name} ended {end}")
    return time.monotonic() - begun


async def _windows(market: Market, playing: asyncio.Future[list[float]]) -> Sequence[Ledger]:
    """Ten seconds each, until all have ended."""
    found, before = [], await market.ledger()
    while not playing.done():
        await asyncio.wait([playing], timeout=WINDOW)
        now = await market.ledger()
        found.append(now.since(before))
        before = now
    return found[:-1]  # The last one was cut short.
