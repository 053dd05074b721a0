"""Applications with two versions each, all scraped at the same time by one real Prometheus, and what befalls them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.prometheus import Prometheus, Service, canary, stable

SECONDS = 36
"""How long everything is recorded before the outage."""
OUTAGE = 12
AFTER = 12

RATES = {"rare": (1 / 60, 1 / 60), "busy": (3000, 500), "gaps": (90, 6), "outage": (90, 6)}
"""Requests a second and pod of both versions, where they are not the usual ones."""
USUAL = (90, 60)
SHARE = 0.005


class Shop:
    """One application."""

    def __init__(self, server: Prometheus, name: str) -> None:
        self.server = server
        old, new = RATES.get(name, USUAL)
        self.old = [Service(pod, rate=old, bad=SHARE) for pod in stable(name, 3)]
        self.new = [Service(pod, rate=new, bad=SHARE) for pod in canary(name, 2)]
        self.name = name
        self.began = time.monotonic()

    @property
    def everything(self) -> list[Service]:
        return [*self.old, *self.new]

    async def at(self, second: float) -> None:
        await asyncio.sleep(max(0.0, self.began + second - time.monotonic()))

    async def failing(self, services: list[Service], share: float, *, since: float, until: float) -> None:
        await self.at(since)
        for service in services:
            service.change(bad=share)
        await self.at(until)
        for service in services:
            service.change(bad=SHARE)


Story = Callable[[Shop], Awaitable[None]]


async def _nothing(_: Shop) -> None:
    return None


async def _bad(shop: Shop) -> None:
    await shop.failing(shop.new, 0.2, since=8, until=1e3)


async def _nonsense(shop: Shop) -> None:
    for service in shop.new:
        service.is_nonsense = True


async def _restarts(shop: Shop) -> None:
    for second in range(4, SECONDS, 5):
        await shop.at(second)
        for service in (shop.new[second % 2], shop.old[second % 3]):
            service.restart()


async def _pods(shop: Shop) -> None:
    """Prometheus leaves an ended pod alone after up to five seconds, and its silence lasts three ticks more."""
    for turn, second in enumerate(range(4, SECONDS - 4, 12)):
        await shop.at(second)
        await shop.server.add(Service(canary(shop.name, 9)[2 + turn], rate=60, bad=SHARE))
        await shop.server.add(Service(stable(shop.name, 9)[3 + turn], rate=90, bad=SHARE))
        await shop.at(second + 4)
        await shop.server.remove(stable(shop.name, 9)[2 + turn])
        await shop.server.remove(canary(shop.name, 9)[1 + turn])


async def _gaps(shop: Shop) -> None:
    """The new version can't be scraped whenever both versions fail: its failures arrive when the old one is well."""
    for second in range(4, SECONDS - 4, 4):
        await shop.at(second)
        for service in shop.new:
            service.status = 500
        for service in shop.everything:
            service.change(bad=0.3)
        await shop.at(second + 1.3)
        for service in shop.everything:
            service.change(bad=0)
        await shop.at(second + 2.2)
        for service in shop.new:
            service.status = 200


async def _labels(shop: Shop) -> None:
    for turn, second in enumerate(range(6, SECONDS, 9)):
        await shop.at(second)
        for service in shop.everything:
            service.tags = f',team="t{turn}"'


async def _incident(shop: Shop) -> None:
    await shop.failing(shop.everything, 0.3, since=10, until=22)


async def _silenced(shop: Shop) -> None:
    """The new version's pods end in the middle."""
    await shop.at(SECONDS / 2)
    for service in shop.new:
        await shop.server.remove(service.pod)


async def _outage(shop: Shop) -> None:
    """Both versions fail while nobody scrapes, and the new one is well before and after."""
    await shop.failing(shop.everything, 0.5, since=SECONDS + 2, until=SECONDS + OUTAGE - 2)


STORIES: dict[str, Story] = {
    "good": _nothing,
    "bad": _bad,
    "nonsense": _nonsense,
    "restarts": _restarts,
    "pods": _pods,
    "gaps": _gaps,
    "labels": _labels,
    "incident": _incident,
    "silenced": _silenced,
    "outage": _outage,
    "rare": _nothing,
    "busy": _nothing,
}


async def happen(server: Prometheus) -> float:
    """Lets everything happen and returns when it began."""
    shops = [Shop(server, name) for name in STORIES]
    for shop in shops:
        await server.add(*shop.everything)
    await server.scraped(f"count(up == 1) == {sum(len(shop.everything) for shop in shops)}")
    await asyncio.sleep(4)  # Ticks before the first one.
    began = time.time()
    for shop in shops:
        shop.began = time.monotonic()
    stories = [asyncio.ensure_future(STORIES[shop.name](shop)) for shop in shops]
    await shops[0].at(SECONDS)
    await server.stop()
    await shops[0].at(SECONDS + OUTAGE)
    await server.start()
    await shops[0].at(SECONDS + OUTAGE + AFTER)
    for story in stories:
        story.cancel()
    await asyncio.gather(*stories, return_exceptions=True)
    await server.scraped(f"timestamp(up) > {began + SECONDS + OUTAGE + AFTER}")
    return began
