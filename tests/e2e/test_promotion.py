"""A person says abort while the new version is being promoted: at every moment of it, on every router."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.service import RPCError

from tests.e2e.shops import Shop, differences, opened, shops
from tests.e2e.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]

PROMOTION = ("Promoting", "Watching", "Committing", "Succeeded")
ROUNDS = 3
LONGEST = 25.0
"""Seconds from the beginning of a promotion to after its end, its watch included."""
OTHER = {"1.0.0": "1.1.0", "1.1.0": "1.0.0"}


@dataclass
class Trial:
    """A shop, the version that its users have, and its objects as they must be."""

    shop: Shop
    version: str
    objects: dict[str, Any]

    async def abort_after(self, moment: float) -> tuple[str, str]:
        """Releases the other version, with so many seconds from the beginning of its promotion to the abort."""
        name = self.shop.name
        playing = asyncio.create_task(self.shop.site.play(self.shop.release(OTHER[self.version], watch="6s")))
        await asyncio.sleep(1)
        await self.shop.site.until(name, lambda status: status["phase"] in PROMOTION)
        await asyncio.sleep(moment)
        with suppress(RPCError):  # It may have ended by itself.
            await self.shop.site.abort(name)
        return await playing

    def expect(self, outcome: str) -> None:
        """What must be there now: after an abort all as it was, and after a success only the image is another."""
        if outcome == "Succeeded":
            old, self.version = self.version, OTHER[self.version]
            spec = self.objects[f"apps/v1/deployments/{self.shop.name}"]["spec"]
            container = spec["template"]["spec"]["containers"][0]
            container["image"] = container["image"].replace(f":{old}", f":{self.version}")


@pytest.fixture
async def trials(site: Site) -> AsyncIterator[list[Trial]]:
    """Where a second version stands beside the first, and is promoted."""
    async with opened([shop for shop in shops(site) if not shop.is_in_place]) as found:
        yield [Trial(shop, "1.0.0", shop.objects()) for shop in found]


async def test_an_abort_at_any_moment_of_a_promotion_costs_no_request_and_ends_at_the_baseline(
    trials: list[Trial],
) -> None:
    seed = int(os.environ.get("HEADGATE_SEED", random.randrange(10**6)))
    print(f"HEADGATE_SEED={seed}")
    moments = _everywhere(random.Random(seed), len(trials) * ROUNDS)
    outcomes = Counter[str]()
    for _ in range(ROUNDS):
        mine = [moments.pop() for _ in trials]
        ends = await asyncio.gather(*map(Trial.abort_after, trials, mine))
        for trial, moment, end in zip(trials, mine, ends, strict=True):
            print(f"{trial.shop.name}: abort {moment:.1f} s into the promotion: {end}")
            assert end[0] in ("Aborted", "Succeeded"), (trial.shop.name, end)
            outcomes[end[0]] += 1
            trial.expect(end[0])
            assert differences(trial.objects, trial.shop.objects()) == [], trial.shop.name
            assert trial.shop.leftovers() == [], trial.shop.name
        for trial in trials:
            assert set(await trial.shop.visitors.next(100)) == {(trial.version, 200)}, trial.shop.name
        assert {trial.shop.name: trial.shop.lost for trial in trials if trial.shop.lost} == {}
    assert outcomes["Aborted"] >= outcomes.total() / 3, "most came too late to be about the promotion"


def _everywhere(dice: random.Random, count: int) -> list[float]:
    """A moment in each of so many equal parts of a promotion, in any order."""
    moments = [dice.uniform(part, part + 1) * LONGEST / count for part in range(count)]
    dice.shuffle(moments)
    return moments
