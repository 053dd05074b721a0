"""HTTP checks: status, time and content of one answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from pydantic import ValidationError
from yarl import URL

from activities.checks.protocol import Answer
from activities.workloads.protocol import Endpoint
from workflows.errors import Rejected
from workflows.model.release import HttpCheck
from workflows.model.shapes import carried

READ = 64 * 1024
"""Bytes of a body that are looked at."""

SHOWN = 200
"""Characters of a body that are quoted."""


class HttpChecks:
    """Asks instances directly, past every router; redirects are answers, not followed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, check: Mapping[str, Any], endpoint: Endpoint) -> Answer:
        wanted = _read(check)
        started = time.monotonic()
        try:
            status, body = await self._send(wanted, f"http://{endpoint.address}{wanted.path}")
        except TimeoutError:
            return Answer(passed=False, message=f"no answer within {wanted.timeout.total_seconds():g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(passed=False, message=f"cannot be reached: {type(error).__name__}")
        return _judge(wanted, status, body, seconds=time.monotonic() - started)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(self, wanted: HttpCheck, url: str) -> tuple[int, str]:
        if self._session is None:
            # A connection kept open from an earlier try could belong to an instance that is being stopped.
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        async with self._session.request(
            wanted.method,
            URL(url, encoded=True),
            headers=wanted.headers,
            timeout=aiohttp.ClientTimeout(total=wanted.timeout.total_seconds()),
            allow_redirects=False,
            **{"data" if isinstance(wanted.body, str) else "json": wanted.body},
        ) as answer:
            found = b""
            while len(found) < READ and (more := await answer.content.read(READ - len(found))):
                found += more
            return answer.status, found.decode("utf-8", errors="replace")


def _read(check: Mapping[str, Any]) -> HttpCheck:
    try:
        return carried(HttpCheck, dict(check))
    except ValidationError as error:
        raise Rejected(
            "this worker cannot read an http check of the release; is it older than the release?",
            provider="http",
            operation="check",
        ) from error


def _judge(wanted: HttpCheck, status: int, body: str, *, seconds: float) -> Answer:
    shown = f": {' '.join(body.split())[:SHOWN]!r}" if body.strip() else ""
    if status != wanted.status:
        return Answer(passed=False, message=f"answered {status} instead of {wanted.status}{shown}")
    if wanted.contains not in body:
        return Answer(passed=False, message=f"answered {status} without {wanted.contains!r}{shown}")
    if seconds > wanted.timeout.total_seconds():
        return Answer(passed=False, message=f"took {seconds:.2f} s, more than {wanted.timeout.total_seconds():g} s")
    return Answer(passed=True)
