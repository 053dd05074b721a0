"""A worker's accounts of its calls to API servers, read from its metrics page at two moments."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from worker.measures import CENSUS_AGE, KUBERNETES_CALLS, KUBERNETES_WAITED, OBSERVATION_AGE


@dataclass(frozen=True)
class Ledger:
    """What workers had asked for and waited until a moment."""

    at: float
    calls: Counter[str]
    """By verb and resource, of all workers together."""
    waited: Counter[str]
    """Seconds, by lane."""
    age: float
    """Seconds since an observer was heard when that was last asked, of the release that was quiet for longest."""

    def since(self, before: Ledger) -> Ledger:
        """The same for the time between."""
        return Ledger(self.at - before.at, self.calls - before.calls, self.waited - before.waited, self.age)

    @property
    def a_second(self) -> float:
        """Calls, where `at` is how long it took."""
        return self.calls.total() / self.at

    @property
    def a_minute(self) -> float:
        """As `a_second`."""
        return 60 * self.a_second


async def read(addresses: Sequence[str]) -> Ledger:
    """The accounts as they stand, from the health addresses of workers."""
    async with aiohttp.ClientSession() as session:
        pages = await asyncio.gather(*(_samples(session, address) for address in addresses))
    samples = [sample for page in pages for sample in page]
    calls, waited = Counter[str](), Counter[str]()
    for sample in samples:
        if sample.name == KUBERNETES_CALLS.name:
            calls[f"{sample.labels['verb']} {sample.labels['resource']}"] += int(sample.value)
        elif sample.name == KUBERNETES_WAITED.name:
            waited[sample.labels["lane"]] += sample.value  # type: ignore[assignment]
    ages = {name: [s.value for s in samples if s.name == name] for name in (OBSERVATION_AGE.name, CENSUS_AGE.name)}
    age = max(ages[OBSERVATION_AGE.name], default=0) - min(ages[CENSUS_AGE.name])
    return Ledger(time.monotonic(), calls, waited, max(age, 0))


async def _samples(session: aiohttp.ClientSession, address: str) -> list[Sample]:
    async with session.get(f"{address}/metrics") as answer:
        page = await answer.text()
    return [sample for family in text_string_to_metric_families(page) for sample in family.samples]
