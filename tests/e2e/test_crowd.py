"""Many releases at the same time, on one worker."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.market import Market, a_market

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]

CROWD = int(os.environ.get("HEADGATE_CROWD", "20"))
"""Ten were too many once. A hundred take a quarter of an hour, at the fifty calls a second that a worker allows itself.
"""


@pytest.fixture
async def market(kubeconfig: Path, tmp_path: Path) -> AsyncIterator[Market]:
    async with a_market(kubeconfig, tmp_path) as made:
        yield made


async def test_releases_that_begin_at_once_succeed_and_no_activity_of_theirs_is_taken_for_dead(market: Market) -> None:
    names = await market.open_all(CROWD)
    handles = await asyncio.gather(*(market.start(market.release(name, "v1")) for name in names))
    ends = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
    assert {name: end for name, end in zip(names, ends, strict=True) if not _succeeded(end)} == {}
    lost = sum([await market.lost_attempts(name) for name in names], Counter())
    print(f"{len(names)} releases; attempts that took too long: {dict(lost)}")
    assert [what for what in lost if what.endswith("HEARTBEAT")] == []


def _succeeded(end: object) -> bool:
    return isinstance(end, dict) and end["outcome"] == "Succeeded"
