"""`--kill-workers`: kills one of the two workers with SIGKILL every few seconds and starts it again."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from cli.demo.playground import Playground, Say

SHORTEST, LONGEST = 10.0, 18.0
"""Seconds between two kills."""


class Chaos:
    """Kills until told to stop; the same seed chooses the same workers and pauses."""

    def __init__(self, playground: Playground, seed: int, say: Say) -> None:
        self._playground = playground
        self._random = random.Random(seed)  # noqa: S311 - chooses a victim, hides nothing.
        self._say = say
        self._stopping = asyncio.Event()
        self.kills = 0

    def stop(self) -> None:
        """No more kills; `run` returns when both workers run again."""
        self._stopping.set()

    async def run(self) -> None:
        """Goes on until `stop`."""
        while not await self._pause():
            worker = self._random.choice(self._playground.workers)
            pid = worker.kill()
            self.kills += 1
            self._say(f"killed {worker.name} (pid {pid}) with SIGKILL")
            await worker.ended()
            await self._playground.restart(worker)

    async def _pause(self) -> bool:
        """Whether it is time to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._random.uniform(SHORTEST, LONGEST))
        return self._stopping.is_set()
