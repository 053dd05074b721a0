"""How often an API server is asked: a steady rate after a burst, undo before all else, and the rests it asks for.

Within a lane the activity that was asked for first goes first, with all of its calls. By the order of calls a hundred
activities would all be under way all the time, and all would take too long together.
"""

from __future__ import annotations

import asyncio
import time
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count

from temporalio import activity

from activities import beats

_ROUNDING = 0.001
"""Seconds by which the next turn is looked for a little late, so that it is whole."""


class Lane(IntEnum):
    """Whose turn comes first: users must be brought back, then watched, and only then moved."""

    UNDO = 0
    OBSERVE = 1
    REGULAR = 2


class Pace:
    """Turns of one event loop."""

    def __init__(self, rate: float, burst: int) -> None:
        self.waited: dict[Lane, float] = dict.fromkeys(Lane, 0.0)
        """Seconds that calls waited for their turn, all of them together."""
        self._rate = rate
        self._burst = float(burst)
        self._turns = float(burst)
        """Those that may be taken at once; below one, the next comes in time."""
        self._counted = 0.0
        """The time up to which they were counted; in the future during a rest."""
        self._waiting: list[tuple[Lane, float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Returns when the next call may go out; the activity that waits gives signs of life meanwhile."""
        loop = asyncio.get_running_loop()
        turn, mine, begun = loop.create_future(), lane(), loop.time()
        heappush(self._waiting, (mine, _asked_at(), next(self._numbers), turn))
        self._serve()
        try:
            await beats.during(turn)
        finally:
            self.waited[mine] += loop.time() - begun

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
            turn = heappop(self._waiting)[-1]
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


def _asked_at() -> float:
    """When the workflow asked for the activity, however often it was tried since."""
    return activity.info().scheduled_time.timestamp() if activity.in_activity() else time.time()
