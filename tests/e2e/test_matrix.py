"""Every router with a data plane here, with every strategy, many at the same time, while users never stop asking."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.shops import FAULTS, Shop, differences, opened, shops
from tests.e2e.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]

REQUESTS = int(os.environ.get("HEADGATE_REQUESTS", "2000"))
"""Of the users of each shop while good versions are released; all shops together have ten times as many and more."""
LEAST = 100
"""Requests at one weight that are enough to compare."""
SIGMAS = 4.5
"""By how many standard deviations the share of a version may miss its weight."""


HALVES = {
    "gatewayApi, replicas, service": ("gatewayApi", "grpc", "replicas", "service"),
    "others": ("contour", "ingress", "traefik"),
}
"""All shops at once are more pods than two cores can bear."""


@pytest.fixture(params=HALVES)
async def open_shops(site: Site, request: pytest.FixtureRequest) -> AsyncIterator[list[Shop]]:
    """Those of some routers, with users."""
    async with opened(shops(site, HALVES[request.param])) as found:
        yield found


async def test_good_releases_lose_no_request_and_users_meet_versions_by_weight(open_shops: list[Shop]) -> None:
    trips = await asyncio.gather(*map(_release_until_seen_enough, open_shops))
    for shop, trip in zip(open_shops, trips, strict=True):
        print(f"{shop.name}: {trip.releases} releases, {shop.visitors.answers.total():,} requests, {trip.shares}")
    assert {shop.name: shop.lost for shop in open_shops if shop.lost} == {}
    assert {shop.name: trip.early for shop, trip in zip(open_shops, trips, strict=True) if trip.early} == {}
    assert {shop.name: trip.astray for shop, trip in zip(open_shops, trips, strict=True) if trip.astray} == {}
    assert [
        shop.name for shop, trip in zip(open_shops, trips, strict=True) if shop.has_weights and not trip.shares
    ] == []
    assert {shop.name: found for shop in open_shops if (found := shop.leftovers())} == {}


async def test_bad_releases_go_back_and_leave_every_object_as_it_was(open_shops: list[Shop]) -> None:
    before = [shop.objects() for shop in open_shops]
    ends = await asyncio.gather(*(shop.site.play(shop.release("1.1.1-errors")) for shop in open_shops))
    for shop, (outcome, message) in zip(open_shops, ends, strict=True):
        print(f"{shop.name}: {outcome}, {message}; {dict(shop.visitors.answers)}")
        assert outcome == "RolledBack", (shop.name, message)
        assert "errors: " in message, shop.name
        assert {status for _, status in shop.lost} <= FAULTS, shop.name
    assert [shop.name for shop in open_shops if shop.lost], "probes fail too, but not everywhere before a user does"
    await _expect(open_shops, before)
    for shop in open_shops:
        [text] = shop.site.failures(shop.name).values()
        assert "== Pods of 1.1.1-errors" in text
        assert "ScalingReplicaSet" in text
        if not shop.is_in_place:  # There the pods may be gone, because users come first.
            assert "Starting podinfo" in text


async def test_aborts_at_random_moments_cost_no_request_and_leave_every_object_as_it_was(
    open_shops: list[Shop],
) -> None:
    seed = int(os.environ.get("HEADGATE_SEED", random.randrange(10**6)))
    print(f"HEADGATE_SEED={seed}")
    dice = random.Random(seed)
    before = [shop.objects() for shop in open_shops]
    for _ in range(3):
        moments = [dice.uniform(0, 35) for _ in open_shops]
        ends = await asyncio.gather(*map(_abort, open_shops, moments))
        for shop, moment, end in zip(open_shops, moments, ends, strict=True):
            print(f"{shop.name}: aborted after {moment:.1f} s: {end}")
            assert end[0] == "Aborted", (shop.name, end)
        await _expect(open_shops, before)
    assert {shop.name: shop.lost for shop in open_shops if shop.lost} == {}


async def _expect(open_shops: list[Shop], before: list[dict[str, Any]]) -> None:
    """All is as it was, for users too."""
    for shop, was in zip(open_shops, before, strict=True):
        assert differences(was, shop.objects()) == [], shop.name
        assert shop.leftovers() == [], shop.name
        assert set(await shop.visitors.next(100)) == {("1.0.0", 200)}, shop.name


@dataclass
class Trip:
    """What users saw of good releases."""

    releases: int = 0
    shares: list[str] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)
    """Weights that were verified and not followed."""
    early: list[str] = field(default_factory=list)
    """Versions that users met before anything led them there."""


async def _release_until_seen_enough(shop: Shop) -> Trip:
    """Releases the one and the other version in turn."""
    trip = Trip()
    while not trip.releases or shop.visitors.answers.total() < REQUESTS:
        old, new = ("1.0.0", "1.1.0") if trip.releases % 2 == 0 else ("1.1.0", "1.0.0")
        await asyncio.sleep(1)  # The first moment of a version counts from here.
        shop.visitors.first.clear()
        watching = asyncio.create_task(_compare(shop, new, trip))
        outcome, message = await shop.site.play(shop.release(new))
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        assert outcome == "Succeeded", (shop.name, message)
        led = await shop.led()
        if (met := shop.visitors.first[new]) < led:
            trip.early.append(f"{new} {led - met:.2f} s too early, after {old}")
        trip.releases += 1
    return trip


async def _compare(shop: Shop, version: str, trip: Trip) -> None:
    """Counts versions for as long as one weight is observed, and compares."""
    weight: float | None = None
    seen, counted = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    while True:
        answers = shop.visitors.answers.copy()
        now = await shop.site.observed_weight(shop.name)
        if now == weight:
            counted = answers - seen
        else:
            _note(version, weight, counted, trip)
            await asyncio.sleep(0.3)  # Users are on their way for a moment after a shift was verified.
            weight, seen, counted = now, shop.visitors.answers.copy(), Counter()
        await asyncio.sleep(0.2)


def _note(version: str, weight: float | None, counted: Counter[tuple[str, int]], trip: Trip) -> None:
    total = counted.total()
    if not weight or total < LEAST:
        return
    share, wanted = counted[version, 200] / total, weight / 100
    trip.shares.append(f"{weight:g} %: {100 * share:.1f} % of {total}")
    if abs(share - wanted) > SIGMAS * (wanted * (1 - wanted) / total) ** 0.5:
        trip.astray.append(trip.shares[-1])


async def _abort(shop: Shop, moment: float) -> tuple[str, str]:
    """The watch is long, so that no release is over before its moment."""
    playing = asyncio.create_task(shop.site.play(shop.release("1.1.0", watch="10m")))
    await asyncio.sleep(moment)
    await shop.site.abort(shop.name)
    return await playing
