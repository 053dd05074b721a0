"""The weights that Envoy itself uses, seen from outside: the demo's witness that a rollback has arrived."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

INTERVAL = 0.2


@dataclass(frozen=True)
class Weights:
    """One configuration, from the moment Envoy began to use it."""

    at: float
    """Unix time, by Envoy's own record."""
    new: float
    """Percent of the users that reach the slot of the new version."""


class Witness:
    """Asks Envoy's admin endpoint again and again; Envoy remembers when each configuration came."""

    def __init__(self, admin: str, route: str) -> None:
        self._url = f"{admin}/config_dump?resource=dynamic_route_configs&name_regex=^{route}$"
        self._route = route
        self.seen: list[Weights] = []

    async def run(self) -> None:
        """Watches until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while True:
                with suppress(aiohttp.ClientError, TimeoutError, ValueError, KeyError):
                    async with session.get(self._url) as answer:
                        self._take(await answer.json(content_type=None))
                await asyncio.sleep(INTERVAL)

    def back_at_zero(self, after: float) -> float | None:
        """When the new version got no more users, for good, after a moment; None while it still gets some."""
        zero = None
        for weights in self.seen:
            if weights.at < after:
                continue
            if weights.new:
                zero = None
            elif zero is None:
                zero = weights.at
        return zero

    def _take(self, dump: dict[str, Any]) -> None:
        for found in dump.get("configs", []):
            at = datetime.fromisoformat(found["last_updated"]).timestamp()
            if not self.seen or at > self.seen[-1].at:
                self.seen.append(Weights(at, _share_of_new(self._route, found["route_config"])))


def _share_of_new(route: str, configuration: dict[str, Any]) -> float:
    users = next(host for host in configuration["virtual_hosts"] if host["name"] == "users")
    for entry in users["routes"]:
        clusters = entry.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
        if clusters:
            return sum(float(cluster["weight"]) for cluster in clusters if cluster["name"] == f"{route}.canary") / 100
    return 0.0
