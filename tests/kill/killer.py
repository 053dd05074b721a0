"""Kills workers with SIGKILL at random moments, and knows afterwards what they were doing."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from cli.demo.programs import Program
from tests.kill.fleet import Fleet

SHIFTING = frozenset({"traffic.shift"})
OBSERVING = frozenset({"metrics.observe"})
GOING_BACK = frozenset({"targets.acquire", "targets.next_undo", "traffic.restore"})
SIZING = frozenset({"workloads.deploy", "workloads.scale", "workloads.retire", "workloads.wait_ready"})
AIMS: tuple[frozenset[str], ...] = (SHIFTING, OBSERVING, GOING_BACK, SIZING, frozenset())
"""What a kill waits for to be under way; nothing is any moment."""
AIMING = 3.0
"""Seconds that a kill waits for its moment at most."""
PAUSES = (0.3, 2.5)
BOTH = 0.2
"""Share of the kills that hit both workers."""


class Killer:
    """Kills until told to stop."""

    def __init__(
        self, fleet: Fleet, client: Client, dice: random.Random, rollouts: Callable[[], Iterable[str]]
    ) -> None:
        self._fleet = fleet
        self._client = client
        self._dice = dice
        self._rollouts = rollouts
        """Ids of the Rollouts that run now."""
        self.kills = 0
        self.hits: Counter[str] = Counter()
        """Activities that were under way in a worker when it was killed."""

    @property
    def missed(self) -> frozenset[str]:
        """What nobody was killed in the middle of yet."""
        return frozenset().union(*(aim for aim in AIMS if not aim & self.hits.keys()))

    async def run(self) -> None:
        """Never ends by itself; leaves both workers running or being started."""
        while True:
            await asyncio.sleep(self._dice.uniform(*PAUSES))
            victims = await self._choose()
            pids = {worker.kill() for worker in victims}
            self.kills += len(victims)
            for worker in victims:
                await worker.ended()
            # The server has not noticed yet, so it still believes in what the dead were doing.
            lost = await self._under_way()
            self.hits.update(name for name, pid in lost if pid in pids)
            for worker in victims:
                await worker.start()
            await asyncio.gather(*map(self._fleet.ready, victims))

    async def _choose(self) -> list[Program]:
        """The victims, once one of them does what this kill aims at."""
        aim = self.missed or self._dice.choice(AIMS)
        workers = self._dice.sample(self._fleet.workers, 2)
        both = self._dice.random() < BOTH
        deadline = time.monotonic() + (AIMING if aim else 0)
        while time.monotonic() < deadline:
            doing = {pid for name, pid in await self._under_way() if name in aim}
            if found := [worker for worker in workers if _pid(worker) in doing]:
                return workers if both else found[:1]
            await asyncio.sleep(0.02)
        return workers if both else workers[:1]

    async def _under_way(self) -> list[tuple[str, int]]:
        found = await asyncio.gather(*(self._activities(name) for name in self._rollouts()))
        return [item for part in found for item in part]

    async def _activities(self, rollout: str) -> list[tuple[str, int]]:
        """Activities that a worker has begun, with the worker's pid."""
        try:
            described = await self._client.get_workflow_handle(rollout).describe()
        except RPCError:
            return []
        if described.status is not WorkflowExecutionStatus.RUNNING:
            return []
        return [
            (activity.activity_type.name, int(activity.last_worker_identity.partition("@")[0]))
            for activity in described.raw_description.pending_activities
            if activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        ]


def _pid(worker: Program) -> int:
    assert worker._process
    return worker._process.pid
