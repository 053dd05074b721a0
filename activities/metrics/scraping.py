"""Asks endpoints for numbers: once per tick and address however many want to know, and less and less when refused."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import aiohttp
from yarl import URL

from activities.metrics.backoff import Backoff, refusal
from activities.metrics.exposition import Exposition
from activities.metrics.sharing import answer, asked
from workflows.errors import TemporaryError, Unavailable

LARGEST = 32 * 1024 * 1024
"""Bytes of one answer."""

INLINE = 256 * 1024
"""Bytes above which an answer is sorted in a thread, so that the loop stays free."""

FORGET = 600.0
"""Seconds after which an address that nobody asked for is forgotten."""

A = TypeVar("A")
"""What an answer is read as."""


@dataclass(slots=True)
class _Page(Generic[A]):
    """What is known about one address."""

    asked_at: float = 0.0
    answered_at: float = float("-inf")
    answer: A | TemporaryError | None = None
    running: asyncio.Task[A] | None = None
    backoff: Backoff = field(default_factory=Backoff)


class Asker(ABC, Generic[A]):
    """Shared by all observations of one provider in one event loop."""

    largest: ClassVar[int]
    """Bytes of one answer."""
    is_redirected: ClassVar[bool] = True
    """Whether an answer may send the question elsewhere."""
    headers: Mapping[str, str] = {}

    def __init__(self, *, timeout: float, parallel: int, now: Callable[[], float] = time.monotonic) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._slots = asyncio.Semaphore(parallel)
        self._now = now
        self._pages: dict[str, _Page[A]] = {}
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0
        """Requests made so far."""

    @abstractmethod
    def read(self, where: str, text: str) -> A:
        """What an answer says. Errors: Unavailable where that is nothing."""

    async def get(self, url: str, *, max_age: float) -> A:
        """The page, at most `max_age` seconds old. Errors: Unavailable, RateLimited; both also while backing off."""
        page = self._pages.setdefault(url, _Page[A]())
        page.asked_at = self._now()
        if page.running is None:
            page.backoff.check(self._now())
            if page.answer is not None and self._now() - page.answered_at < max_age:
                return _unpacked(page.answer)
            page.running = asked(self._refresh(url, page))
            self._forget()
        return await answer(page.running)

    async def close(self) -> None:
        """Ends what runs and closes the connections; idempotent."""
        running = [page.running for page in self._pages.values() if page.running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _refresh(self, url: str, page: _Page[A]) -> A:
        try:
            page.answer = await self._ask(url)
            page.backoff.answered()
        except TemporaryError as error:
            page.answer = error
            page.backoff.refused(error, self._now())
            raise
        else:
            return page.answer
        finally:
            page.answered_at = self._now()
            page.running = None

    async def _ask(self, url: str) -> A:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self.headers, connector=aiohttp.TCPConnector(limit=0))
        where, most = url.partition("?")[0], self.largest + 1
        asking = self._session.get(URL(url, encoded=True), timeout=self._timeout, allow_redirects=self.is_redirected)
        try:
            async with self._slots, asking as page:
                self.requests += 1
                if page.status != 200:
                    raise refusal(where, page.status, page.headers.get("Retry-After"))
                body = await page.content.read(most)
                while len(body) < most and (more := await page.content.read(most - len(body))):
                    body += more
        except TimeoutError as error:
            raise Unavailable(f"{where} did not answer within {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{where} cannot be read: {type(error).__name__}") from error
        if len(body) > self.largest:
            raise Unavailable(f"{where} answers with more than {self.largest // 2**20} MiB")
        text = body.decode("utf-8", errors="replace")
        return self.read(where, text) if len(body) < INLINE else await asyncio.to_thread(self.read, where, text)

    def _forget(self) -> None:
        oldest = self._now() - FORGET
        for url in [url for url, page in self._pages.items() if page.asked_at < oldest and page.running is None]:
            del self._pages[url]


class Scraper(Asker[Exposition]):
    """Reads metrics pages."""

    largest = LARGEST
    headers: Mapping[str, str] = {"Accept": "text/plain;version=0.0.4,*/*;q=0.1"}

    def read(self, where: str, text: str) -> Exposition:
        page = Exposition(text)
        if page.is_empty:
            # Not the same as "nothing happened yet": what comes back later would look as if it had been born meanwhile.
            raise Unavailable(f"{where} answers with an empty page")
        return page


def _unpacked(answer: A | TemporaryError) -> A:
    if isinstance(answer, TemporaryError):
        raise answer
    return answer
