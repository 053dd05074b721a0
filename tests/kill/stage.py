"""Plays the releases: starts them, answers, aborts, and writes down how each ended and what it left."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from tests.kill.fleet import QUEUE, Fleet
from tests.kill.releases import APPROVERS, GATE, NAMESPACE, REPLICAS, Wish, first
from workflows.model.status import ReleaseStatus

LONGEST = 400.0
"""Seconds that one release may take: each killed worker costs it ten or more, and a slow machine its own."""


@dataclass
class Played:
    """One release that has ended."""

    wish: Wish
    before: str
    """The version that ran before it."""
    after: str
    """The version that must run now."""
    run_id: str
    outcome: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    answered_at: list[float] = field(default_factory=list)
    """When each approver spoke, by the server's clock, which is ours."""
    left: list[str] = field(default_factory=list)
    """What was not as it must be right after the end."""


class Stage:
    """Every service plays its releases one after the other, all services at the same time."""

    def __init__(self, fleet: Fleet, client: Client, dice: random.Random) -> None:
        self._fleet = fleet
        self._client = client
        self._dice = dice
        self._open: set[str] = set()
        self._running: dict[str, str] = {}
        """The version of each service."""
        self.played: list[Played] = []

    def rollouts(self) -> list[str]:
        """The ids of the Rollouts of releases that run now."""
        return [f"rollout/local/{NAMESPACE}/process/{service}" for service in self._open]

    async def begin(self, service: str) -> None:
        """The first release of a service; nobody is killed yet."""
        await self._play(first(service))

    async def play(self, wishes: list[Wish]) -> None:
        """All releases of a service."""
        async with self._visited(wishes[0].service):
            for wish in wishes:
                await self._play(wish)

    async def _play(self, wish: Wish) -> None:
        before = self._running.get(wish.service, "")
        played = Played(wish, before, wish.version if wish.ends == "Succeeded" else before, "")
        self._running[wish.service] = played.after
        await self._fleet.serving(wish.service)
        handle = await self._client.start_workflow("Release", wish.document(), id=wish.id, task_queue=QUEUE)
        played.run_id = handle.first_execution_run_id or ""
        self._open.add(wish.service)
        people = asyncio.create_task(self._interfere(handle, played))
        try:
            played.outcome, played.result = await self._end(handle)
        finally:
            people.cancel()
            self._open.discard(wish.service)
        played.left = await asyncio.to_thread(self._look, played)
        self.played.append(played)
        print(f"{wish.service} {wish.version} {wish.goes}: {played.outcome} {played.result.get('reason', '')}")

    async def _end(self, handle: WorkflowHandle[Any, Any]) -> tuple[str, dict[str, Any]]:
        try:
            result = await asyncio.wait_for(handle.result(), LONGEST)
        except TimeoutError:
            raise AssertionError(f"{handle.id} did not end in {LONGEST} s: {await self._status(handle)}") from None
        except WorkflowFailureError as error:
            if isinstance(error.cause, ApplicationError):
                details: Any = next(iter(error.cause.details), {})
                said = details if isinstance(details, dict) else {"reason": str(details)}
                return str(error.cause.type), {"message": error.cause.message, **said}
            return type(error.cause).__name__, {}
        return str(result["outcome"]), result

    @asynccontextmanager
    async def _visited(self, service: str) -> AsyncIterator[None]:
        user = asyncio.create_task(self._fleet.use(service, self._dice))
        try:
            yield
        finally:
            user.cancel()

    async def _interfere(self, handle: WorkflowHandle[Any, Any], played: Played) -> None:
        """What people do to a release while it runs; as signals, which wait for a worker when there is none."""
        match played.wish.goes:
            case "aborted":
                await asyncio.sleep(self._dice.uniform(0.5, 6))
                await self._begun(handle)
                await self._insist(handle, played, "abort", lambda status: status.phase == "RollingBack")
            case "rejected":
                await self._asked(handle)
                said = {"gate": GATE, "by": APPROVERS[0]}
                await self._insist(handle, played, "reject", lambda status: status.phase == "RollingBack", **said)
            case "approved":
                await self._asked(handle)
                for person in APPROVERS:
                    await asyncio.sleep(self._dice.uniform(0.2, 2))
                    await self._insist(handle, played, "approve", _answered_by(person), gate=GATE, by=person)
            case _:
                return

    async def _begun(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Waits until there is something to abort: a release that is aborted while it is planned touches nothing."""
        while (status := await self._status(handle)) is None or not status.components:  # noqa: ASYNC110
            await asyncio.sleep(0.3)

    async def _asked(self, handle: WorkflowHandle[Any, Any]) -> None:
        while (status := await self._status(handle)) is None or not status.gates:  # noqa: ASYNC110 - it asks a server.
            await asyncio.sleep(0.3)

    async def _insist(
        self, handle: WorkflowHandle[Any, Any], played: Played, name: str, is_done: Any, **said: str
    ) -> None:
        """Says it again until it has worked: a release that is still being planned refuses."""
        played.answered_at.append(time.time())
        while True:
            with suppress(RPCError):
                await handle.signal(name, {"firstRunId": played.run_id, "by": "proof", **said})
            await asyncio.sleep(0.5)
            status = await self._status(handle)
            if status is not None and is_done(status):
                return

    async def _status(self, handle: WorkflowHandle[Any, Any]) -> ReleaseStatus | None:
        with suppress(RPCError, TimeoutError, WorkflowQueryFailedError):
            return await asyncio.wait_for(handle.query("status", result_type=ReleaseStatus), 3)
        return None

    def _look(self, played: Played) -> list[str]:
        """What is not as it must be: the mark, the users, the instances."""
        state = self._fleet.state(played.wish.service)
        weights = self._fleet.weights(played.wish.service)
        facts = {
            "mark": (state.mark, None),
            "weights at Envoy": (weights, {"stable": 100.0}),
            "stable": (
                [item.version for item in state.of("stable") if not item.is_draining],
                [played.after] * REPLICAS,
            ),
            "canary": ([item.version for item in state.of("canary")], []),
        }
        return [f"{what}: {found}, not {right}" for what, (found, right) in facts.items() if found != right]


def _answered_by(person: str) -> Any:
    def check(status: ReleaseStatus) -> bool:
        return any(vote.person == person for gate in status.gates for vote in gate.votes)

    return check
