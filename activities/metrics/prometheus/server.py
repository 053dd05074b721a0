"""One Prometheus server: blocking questions in bounded threads, each asked once however many want its answer.

Questions name the moment that they are about, so an answer does not depend on when it is asked for, nor by whom.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.adapters import HTTPAdapter

from activities.metrics.backoff import Backoff, refusal
from activities.metrics.clock import Clock
from activities.metrics.prometheus.access import credentials, session
from activities.metrics.prometheus.settings import PrometheusSettings
from activities.metrics.sharing import answer, asked
from workflows.errors import Denied, ProviderError, Rejected, TemporaryError, Unavailable

KEPT_SECONDS = 30.0
"""How long an answer is kept for others who ask the same."""

CLOCK_SECONDS = 60.0
"""How often the server's clock is read."""

SKEW = 60.0
"""Seconds between the server's clock and ours above which nobody could say which version a sample belongs to."""

WARNED = 10.0
"""Seconds above which the log says so."""

_PATIENT = {"partial_response": "false"}
"""Thanos leaves out what does not answer unless it is told not to; others ignore it."""


logger = logging.getLogger(__name__)


class Series(NamedTuple):
    """One series' samples, as they were scraped, in the order of time."""

    labels: dict[str, str]
    samples: tuple[tuple[float, float], ...]


class _Question(NamedTuple):
    promql: str
    at: float


class Server:
    """Shared by all observations that name its provider."""

    def __init__(self, settings: PrometheusSettings, *, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._now = now
        self._threads = ThreadPoolExecutor(settings.parallel, thread_name_prefix="prometheus")
        self._connections = threading.local()
        self._opened: list[PrometheusConnect] = []
        self._answers: dict[_Question, tuple[float, asyncio.Task[Any]]] = {}
        self._backoff = Backoff()
        self._skew: tuple[float, float] | None = None
        self._reading_clock = asyncio.Lock()
        self._swept = float("-inf")
        self.requests = 0
        """Questions sent so far."""

    async def ask(self, promql: str, at: float) -> list[Series]:
        """Every series of an expression at a moment; of a range, with all its samples.

        Errors: Unavailable, RateLimited, also while backing off; Denied; Rejected with the server's own words.
        """
        found = await self._shared(_Question(promql, at))
        return [Series(one["metric"], _samples(one)) for one in found]

    async def skew(self, clock: Clock) -> float:
        """Seconds by which the server's clock is ahead. Errors: those of `ask`; Unavailable when it is far off."""
        async with self._reading_clock:
            if self._skew is None or self._now() - self._skew[0] > CLOCK_SECONDS:
                self._skew = (self._now(), await self._read_clock(clock))
        skew = self._skew[1]
        if abs(skew) > SKEW:
            ahead = "ahead of" if skew > 0 else "behind"
            message = f"the clock of {self._url} is {abs(skew):.0f} s {ahead} this worker's; set both by NTP"
            raise Unavailable(message, provider="prometheus")
        return skew

    async def _read_clock(self, clock: Clock) -> float:
        before = clock.now()
        moment = float((await self._send("time()", {}))[0])
        skew = moment - (before + clock.now()) / 2
        if abs(skew) > WARNED:
            logger.warning("the clock of %s is %.0f s from this worker's; set both by NTP", self._url, skew)
        return skew

    async def close(self) -> None:
        """Ends what runs and closes the connections; idempotent."""
        running = [task for _, task in self._answers.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connection in self._opened:
            connection.close()

    async def _shared(self, question: _Question) -> Any:
        self._forget()
        known = self._answers.get(question)
        if known is None or _has_failed(known[1]):
            params = {"time": f"{question.at:.3f}"}
            known = self._answers[question] = (self._now(), asked(self._send(question.promql, params)))
        return await answer(known[1])

    def _forget(self) -> None:
        """Now and then: with many releases there are thousands of answers."""
        if self._now() - self._swept < 1:
            return
        self._swept = self._now()
        oldest = self._swept - KEPT_SECONDS
        old = [question for question, (asked, task) in self._answers.items() if asked < oldest and task.done()]
        for question in old:
            del self._answers[question]

    async def _send(self, promql: str, params: dict[str, str]) -> Any:
        self._backoff.check(self._now())
        self.requests += 1
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._query, promql, params)
        except TemporaryError as error:
            self._backoff.refused(error, self._now())
            raise
        self._backoff.answered()
        return found

    # In a thread.

    def _query(self, promql: str, params: dict[str, str]) -> Any:
        try:
            return self._connection.custom_query(promql, params={**params, **_PATIENT})
        except ProviderError:
            raise
        except requests.Timeout as error:
            message = f"{self._url} did not answer within {self._settings.timeout:g} s"
            raise Unavailable(message, provider="prometheus") from error
        except (PrometheusApiClientException, requests.JSONDecodeError, LookupError, TypeError) as error:
            message = f"{self._url} answers with something that is not Prometheus'; is the url right?"
            raise Unavailable(message, provider="prometheus") from error
        except (requests.RequestException, OSError) as error:
            message = f"{self._url} cannot be asked: {type(error).__name__}"
            raise Unavailable(message, provider="prometheus") from error

    @property
    def _connection(self) -> PrometheusConnect:
        """This thread's own."""
        if not hasattr(self._connections, "one"):
            self._connections.one = self._connect()
            self._opened.append(self._connections.one)
        return self._connections.one

    def _connect(self) -> PrometheusConnect:
        made = session(self._settings)
        made.hooks["response"].append(self._judge)
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        connection = PrometheusConnect(
            url=self._url,
            headers=headers,
            auth=credentials(self._settings),
            session=made,
            timeout=self._settings.timeout,
        )
        # Its own retries would sleep in a thread that others wait for.
        made.mount(self._url, HTTPAdapter())
        return connection

    def _judge(self, found: requests.Response, **_: Any) -> None:
        """Raises what a refusal means, before the library reduces it to a sentence."""
        status = found.status_code
        if status < 300 or found.is_redirect:
            return
        found.content  # noqa: B018 - read to its end, the connection can be used again.
        if status in (401, 403):
            remedy = "give this provider bearerTokenFile or basicAuth with the right to read"
            raise Denied(f"{self._url} does not let this worker ask ({status}); {remedy}", provider="prometheus")
        if status in (400, 422):
            raise Rejected(f"{self._url} refuses a query: {_said(found)}", provider="prometheus")
        raise refusal(self._url, status, found.headers.get("Retry-After"), provider="prometheus")


def _samples(one: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    found = one["values"] if "values" in one else [one["value"]]
    return tuple((float(at), float(value)) for at, value in found)


def _said(found: requests.Response) -> str:
    try:
        return str(found.json()["error"])[:300]
    except (ValueError, LookupError, TypeError):
        return f"status {found.status_code}"


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
