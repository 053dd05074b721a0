"""What supervisors and Prometheus ask a worker over HTTP.

`/livez` fails only when a restart would help; `/readyz` says whether this worker takes work. A server that is down
makes a worker not ready and never dead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Self

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from workflows.errors import Problem, SpecError

Stage = Literal["connecting", "checking", "polling", "draining", "stopped"]


class Health:
    """The one place that knows what the worker is doing now."""

    def __init__(self) -> None:
        self.stage: Stage = "connecting"
        self.failure = ""
        """Why the worker must be restarted; empty while it works."""

    @property
    def is_ready(self) -> bool:
        """Whether this worker takes work."""
        return self.stage == "polling" and not self.failure


class HealthServer:
    """Serves `/livez`, `/readyz` and `/metrics` while it is entered."""

    def __init__(self, bind: str | None, health: Health, render_metrics: Callable[[], Awaitable[bytes]]) -> None:
        self._bind = bind
        self._health = health
        self._render_metrics = render_metrics
        self._runner: web.AppRunner | None = None
        self.address = ""
        """`host:port` as bound; empty when nothing is served."""

    async def __aenter__(self) -> Self:
        if self._bind is None:
            return self
        app = web.Application()
        app.add_routes(
            [web.get("/livez", self._live), web.get("/readyz", self._ready), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, _, port = self._bind.rpartition(":")
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self._runner.cleanup()
            raise SpecError(
                [Problem("health.bind", f"cannot listen at {self._bind}: {error.strerror}; port 0 takes a free one")]
            ) from error
        self.address = f"{host}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        failure = self._health.failure
        return web.Response(text=f"{failure or 'alive'}\n", status=503 if failure else 200)

    async def _ready(self, _: web.Request) -> web.Response:
        health = self._health
        return web.Response(text=f"{health.failure or health.stage}\n", status=200 if health.is_ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=await self._render_metrics(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
