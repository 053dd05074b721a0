"""Users of a host behind a gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

import aiohttp


class Visitors:
    """Constant requests, counted by version and status; a lost connection counts as status 0."""

    def __init__(
        self,
        gateway: str | None,
        host: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        count: int = 4,
        pause: float = 0.01,
    ) -> None:
        assert gateway, "this cluster has no data plane"
        self._url, self._headers = f"{gateway}/api/info", {"Host": host, **headers}
        self._count, self._pause = count, pause
        self._stopped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: Counter[tuple[str, int]] = Counter()
        self.pods: set[str] = set()
        """The names of all that answered; an empty one stands for whoever said that something failed."""
        self.first: dict[str, float] = {}
        """When each version was first met, as seconds since 1970."""

    @property
    def lost(self) -> dict[tuple[str, int], int]:
        """Answers that are no success."""
        return {key: count for key, count in self.answers.items() if key[1] != 200}

    async def next(self, count: int) -> Counter[tuple[str, int]]:
        """So many more answers."""
        before = self.answers.copy()
        while self.answers.total() - before.total() < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return self.answers - before

    async def until(self, answer: tuple[str, int]) -> None:
        """Forgets all answers before the first of a kind: until then the gateway did not know the host."""
        deadline = time.monotonic() + 60
        while not self.answers[answer]:
            assert time.monotonic() < deadline, f"{self._headers['Host']} answers {dict(self.answers)}, not {answer}"
            await asyncio.sleep(0.02)
        await self.next(self._count)  # Of those that asked before that.
        self.answers.clear()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._visit()) for _ in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        await asyncio.gather(*self._tasks)

    async def _visit(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while not self._stopped.is_set():
                try:
                    async with session.get(self._url, headers=self._headers) as answer:
                        text = await answer.text()
                        said = json.loads(text) if answer.ok else {"version": text[:60], "hostname": ""}
                        version = said["version"]
                        self.pods.add(said["hostname"])
                        self.answers[version, answer.status] += 1
                        self.first.setdefault(version, time.time())
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.answers[type(error).__name__, 0] += 1
                await asyncio.sleep(self._pause)
