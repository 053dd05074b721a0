"""Requests that users lose while good versions are released, one after the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from cli.demo.traffic import Record, Tally
from tests.bench.ground import Ground, Layout
from tests.bench.releases import a_release, analysis, finish, first
from tests.bench.rows import Measured, Row, Say, Sheet
from tests.bench.users import SETTLED, users

RATE = 600
REQUESTS = 20_000
"""At least so many during the releases of one strategy."""
REPLICAS = 3
STAGES = [{"weight": 10, "observe": "2s"}, {"weight": 50, "observe": "2s"}, {"weight": 100, "observe": "2s"}]
STRATEGIES: dict[str, dict[str, Any]] = {
    "canary": {"kind": "canary", "stages": STAGES, "watch": "2s"},
    "blueGreen": {"kind": "blueGreen", "watch": "2s"},
    "rolling": {"kind": "rolling", "watch": "2s"},
}
RECREATE = {"kind": "recreate", "watch": "2s"}


async def measure(say: Say) -> Measured:
    """A row per strategy, and what became of all requests."""
    tallies: dict[str, tuple[int, Tally]] = {}
    async with Ground(Layout(workers=2), say) as ground:
        await first(ground, "r0", replicas=REPLICAS)
        async with users(ground, "r0", RATE) as record:
            for name, strategy in STRATEGIES.items():
                say(f"requests during {name}, {REQUESTS:,} at {RATE} a second")
                tallies[name] = await _release(ground, record, strategy, REQUESTS)
            say("requests during recreate")
            tallies["recreate"] = await _release(ground, record, RECREATE, 0)
    rows = [_row(name, *tallies[name], maintained=name == "recreate") for name in tallies]
    lines = [[name, str(releases), *_line(tally)] for name, (releases, tally) in tallies.items()]
    columns = ("strategy", "releases", "requests", "ok", "maintenance", "failed", "lost", "unrouted")
    return Measured(rows, [Sheet("Requests of users during good releases", columns, lines)])


async def _release(ground: Ground, record: Record, strategy: dict[str, Any], requests: int) -> tuple[int, Tally]:
    """Good releases until there were enough requests."""
    tally, releases = record.begin(lambda _: False), 0
    while not releases or tally.sent < requests:
        await finish(ground, a_release("r0", strategy, analysis=analysis()))
        releases += 1
        await asyncio.sleep(SETTLED)
        record.read()
    return releases, tally


def _row(name: str, releases: int, tally: Tally, *, maintained: bool) -> Row:
    what = f"requests lost of {tally.sent:,} during {releases} × {name}"
    target = "0; maintenance answers only" if maintained else f"0 of ≥ {REQUESTS:,}"
    return Row(what, target, [tally.failed], unit="", limit=0)


def _line(tally: Tally) -> list[str]:
    kinds = Counter(tally.kinds)
    return [f"{tally.sent:,}", *(f"{kinds[kind]:,}" for kind in ("ok", "maintenance", "failed", "lost", "unrouted"))]
