"""Keeps a router's writes in force beside a longer activity, where the router names instances that may be replaced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.registry import Registry
from activities.traffic.protocol import Follower, TrafficRouter
from workflows.errors import ProviderError
from workflows.model.target import Target

logger = logging.getLogger(__name__)

_PAUSE = 5.0
"""Seconds until the next try after one that failed."""


class Keeping:
    """Follows for as long as something else lasts."""

    def __init__(self, routers: Registry[TrafficRouter]) -> None:
        self._routers = routers

    @asynccontextmanager
    async def __call__(self, target: Target) -> AsyncIterator[None]:
        """Until the end of the block; a cluster that is away meanwhile is waited for."""
        task = asyncio.create_task(self._follow(target))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, target: Target) -> None:
        router = self._routers.get(str(target.traffic.get("kind", "none")))
        said = ""
        while isinstance(router, Follower):
            try:
                await router.follow(target)
            except ProviderError as error:
                if str(error) != said:
                    logger.warning("%s cannot be followed at the moment: %s", target.key, error)
                said = str(error)
                await asyncio.sleep(_PAUSE)
            else:
                return
