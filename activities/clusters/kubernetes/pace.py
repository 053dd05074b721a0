"""How often an API server is asked: a steady rate after a burst, undo before all else, and the rests it asks for."""

from __future__ import annotations

import asyncio
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count

from temporalio import activity

from activities import beats

_BEAT = 3.0
"""Seconds between two signs of life of an activity that waits for its turn."""

_ROUNDING = 0.001
"""Seconds by which the next turn is looked for a little late, so that it is whole."""


class Lane(IntEnum):
    """Whose turn comes first: users must be brought back, then watched, and only then moved."""

    UNDO = 0
    OBSERVE = 1
    REGULAR = 2


class Pace:
    """Turns of one event loop, within each lane in the order in which they were asked for."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._turns = float(burst)
        """Those that may be taken at once; below one, the next comes in time."""
        self._counted = 0.0
        """The time up to which they were counted; in the future during a rest."""
        self._waiting: list[tuple[Lane, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Returns when the next call may go out; the activity that waits gives signs of life meanwhile."""
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (lane(), next(self._numbers), turn))
        self._serve()
        try:
            while not turn.done():
                await asyncio.wait([turn], timeout=_BEAT)
                if not turn.done():
                    beats.repeat()
        finally:
            turn.cancel()

    def rest(self, seconds: float) -> None:
        """Nobody's turn comes for so long: the server said so."""
        self._counted = max(self._counted, asyncio.get_running_loop().time() + seconds)
        self._turns = 0.0

    def _serve(self) -> None:
        """Gives out the turns there are, and comes back when there is one more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._turns = min(self._burst, self._turns + max(now - self._counted, 0) * self._rate)
        self._counted = max(now, self._counted)
        while self._waiting and self._turns >= 1:
            turn = heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                self._turns -= 1
        if self._waiting:
            soon = self._counted + (1 - self._turns) / self._rate
            self._timer = loop.call_at(soon + _ROUNDING, self._serve)


def lane() -> Lane:
    """That of the activity that asks, by the queue it came from."""
    queue = activity.info().task_queue if activity.in_activity() else ""
    if queue.endswith(".undo"):
        return Lane.UNDO
    return Lane.OBSERVE if queue.endswith(".observe") else Lane.REGULAR
