"""A real HTTP server with metrics pages that misbehave on request, and clocks that need no waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from activities.workloads.protocol import Endpoint
from workflows.errors import Unavailable
from workflows.model.target import Slot, Target


@dataclass
class Page:
    """One process's metrics page."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: asyncio.Event | None = None
    asked: int = 0
    urls: list[str] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    """Headers of the last question."""
    method: str = ""
    body: str = ""
    """Of the last question too."""
    address: str = ""
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.was_asked.set()
        self.urls.append(str(request.rel_url))
        self.seen, self.method, self.body = dict(request.headers), request.method, await request.text()
        if self.hang is not None:
            await self.hang.wait()
        return web.Response(text=self.text, status=self.status, headers=self.headers)


@asynccontextmanager
async def served(page: Page) -> AsyncIterator[Page]:
    """The page on a free port for as long as the context lasts; a hanging answer is let go at the end."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    page.address = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield page
    finally:
        if page.hang is not None:
            page.hang.set()
        await runner.cleanup()


@dataclass
class Instances:
    """Endpoints by slot, or a workload provider that does not know them."""

    slots: dict[Slot, list[Endpoint]] = field(default_factory=dict)
    is_down: bool = False

    async def endpoints(self, target: Target, slot: Slot) -> list[Endpoint]:
        if self.is_down:
            raise Unavailable("the cluster does not answer")
        return self.slots.get(slot, [])


def an_endpoint(address: str, *, version: str = "", token: str = "") -> Endpoint:
    return Endpoint(address=address, version=version, digest=version, token=token or address)


class FakeClock:
    """Time that passes only in `sleep`, and lets everything else run first; `before` happens ahead of each look."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.time = start
        self.before: Callable[[], None] = lambda: None
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.time += seconds
        self.before()


def app_page(good: float, bad: float, *, fast: float | None = None, started: float | None = None) -> str:
    """What a client library writes: requests by status, and durations of which all but `fast` took a second."""
    total = good + bad
    quick = total if fast is None else fast
    lines = [
        "# HELP http_requests_total Requests.",
        "# TYPE http_requests_total counter",
        f'http_requests_total{{path="/",code="200"}} {good}',
        f'http_requests_total{{path="/",code="503"}} {bad}',
        "# TYPE http_request_duration_seconds histogram",
        f'http_request_duration_seconds_bucket{{le="0.1"}} {quick}',
        f'http_request_duration_seconds_bucket{{le="0.5"}} {quick}',
        f'http_request_duration_seconds_bucket{{le="2.5"}} {total}',
        f'http_request_duration_seconds_bucket{{le="+Inf"}} {total}',
        f"http_request_duration_seconds_count {total}",
        f"http_request_duration_seconds_sum {total}",
        "# TYPE queue_depth gauge",
        'queue_depth{queue="ai"} 12',
        'queue_depth{queue="mail"} 99',
    ]
    if started is not None:
        lines.append(f"process_start_time_seconds {started}")
    return "\n".join(lines) + "\n"


def envoy_page(route: str, **slots: tuple[float, float]) -> str:
    """What Envoy writes about the clusters `<route>.<slot>`: good and bad requests by slot."""
    lines = ["# TYPE envoy_server_uptime gauge", "envoy_server_uptime{} 5000"]
    for slot, (good, bad) in slots.items():
        name = f"envoy_cluster_{slot}_upstream_rq_xx"
        lines += [f"# TYPE {name} counter"]
        lines += [f'{name}{{envoy_response_code_class="2",envoy_cluster_name="{route}"}} {good}'] if good else []
        lines += [f'{name}{{envoy_response_code_class="5",envoy_cluster_name="{route}"}} {bad}'] if bad else []
        time = f"envoy_cluster_{slot}_upstream_rq_time"
        lines += [f"# TYPE {time} histogram"]
        for le in ("0.5", "100", "500", "1000", "+Inf"):
            lines += [f'{time}_bucket{{envoy_cluster_name="{route}",le="{le}"}} {good + bad}']
    return "\n".join(lines) + "\n"
