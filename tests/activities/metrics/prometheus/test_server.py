"""How a Prometheus is asked: once for all, in threads, with credentials, and less often when it refuses."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from activities.metrics.prometheus.server import Server
from activities.metrics.registry import metrics_providers
from tests.activities.metrics.pages import FakeClock, Instances, Page, served
from tests.activities.metrics.prometheus.recording import settings
from workflows.errors import Denied, RateLimited, Rejected, Unavailable

ANSWER = '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[7,"3"]}]}}'


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with served(Page(text=ANSWER)) as page:
        yield page


async def asked(page: Page, *times: float, now: FakeClock | None = None, **fields: Any) -> Server:
    """A server that was asked something at each of the moments."""
    server = Server(settings(f"http://{page.address}", **fields), now=(now or FakeClock()).now)
    try:
        for at in times:
            await server.ask("up", at)
    finally:
        await server.close()
    return server


async def test_question_names_its_moment(page: Page) -> None:
    await asked(page, 1234.5)
    assert page.urls == ["/api/v1/query?query=up&time=1234.500&partial_response=false"]


async def test_two_hundred_who_ask_the_same_ask_once_a_tick(page: Page) -> None:
    server = Server(settings(f"http://{page.address}"))
    for tick in range(3):
        found = await asyncio.gather(*(server.ask("up", tick) for _ in range(200)))
        assert all(one == found[0] for one in found)
    assert (page.asked, server.requests) == (3, 3)
    await server.close()


async def test_threads_are_bounded(page: Page) -> None:
    page.hang = asyncio.Event()
    server = Server(settings(f"http://{page.address}", parallel=2))
    running = [asyncio.ensure_future(server.ask("up", at)) for at in range(5)]
    await page.was_asked.wait()
    await asyncio.sleep(0.3)
    assert page.asked <= 2
    page.hang.set()
    await asyncio.gather(*running)
    await server.close()


@pytest.mark.parametrize(
    ("status", "text", "error", "sentence"),
    [
        (429, "", RateLimited, "asks for fewer questions"),
        (503, "", Unavailable, "answers 503"),
        (404, "", Unavailable, "answers 404"),
        (401, "", Denied, "bearerTokenFile or basicAuth"),
        (400, '{"error":"parse error: unexpected }"}', Rejected, "refuses a query: parse error: unexpected }"),
        (200, "<html>log in</html>", Unavailable, "is the url right"),
        (200, '{"data": 3}', Unavailable, "is the url right"),
    ],
)
async def test_refusal_says_what_it_means(
    page: Page, status: int, text: str, error: type[Exception], sentence: str
) -> None:
    page.status, page.text = status, text
    with pytest.raises(error, match=sentence):
        await asked(page, 1)


@pytest.mark.parametrize("status", [429, 503])
async def test_server_that_refuses_is_left_alone_for_as_long_as_it_says(page: Page, status: int) -> None:
    page.status, page.headers = status, {"Retry-After": "20"}
    clock = FakeClock()
    server = Server(settings(f"http://{page.address}"), now=clock.now)
    for _ in range(5):
        with pytest.raises((RateLimited, Unavailable)):
            await server.ask("up", 1)
        clock.time += 3
    assert page.asked == 1
    page.status = 200
    clock.time += 6
    assert await server.ask("up", 1)
    await server.close()


async def test_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="http://127.0.0.1:9 cannot be asked: ConnectionError"):
        await asked(Page(address="127.0.0.1:9"), 1)


async def test_slow_server_is_unavailable(page: Page) -> None:
    page.hang = asyncio.Event()
    with pytest.raises(Unavailable, match="did not answer within 0.2 s"):
        await asked(page, 1, timeout=0.2)


class Door:
    """A server that notes how people prove who they are."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.tenants: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request.headers.get("Authorization", ""))
        self.tenants.append(request.headers.get("X-Scope-OrgID", ""))
        return web.Response(text=ANSWER)


@pytest.fixture
async def door() -> AsyncIterator[tuple[Door, str]]:
    door, app = Door(), web.Application()
    app.router.add_route("*", "/{path:.*}", door.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield door, f"http://127.0.0.1:{runner.addresses[0][1]}/prefix/"
    await runner.cleanup()


async def test_token_is_read_anew_for_each_question(door: tuple[Door, str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    server = Server(settings(door[1], bearerTokenFile=str(file), headers={"X-Scope-OrgID": "trips"}))
    await server.ask("up", 1)
    file.write_text("two\n")
    await server.ask("up", 2)
    file.unlink()
    with pytest.raises(Unavailable, match="token cannot be read, so Prometheus cannot be asked"):
        await server.ask("up", 3)
    await server.close()
    assert (door[0].seen, door[0].tenants) == (["Bearer one", "Bearer two"], ["trips", "trips"])


async def test_password_comes_from_its_file(door: tuple[Door, str], tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    server = Server(settings(door[1], basicAuth={"username": "ann", "passwordFile": str(file)}))
    await server.ask("up", 1)
    await server.close()
    assert door[0].seen == ["Basic YW5uOnNlY3JldA=="]


def a_certificate(folder: Path) -> tuple[Path, Path]:
    """One that nobody vouches for, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


async def test_certificate_of_the_files_is_trusted_and_no_other(tmp_path: Path) -> None:
    cert, key = a_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", Door().answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    trusting, other = Server(settings(url, tls={"caFile": str(cert)})), Server(settings(url))
    assert await trusting.ask("up", 1)
    with pytest.raises(Unavailable, match="SSLError"):
        await other.ask("up", 1)
    for each in (trusting, other):
        await each.close()
    await runner.cleanup()


async def test_clock_is_read_once_a_minute_for_all(page: Page) -> None:
    clock = FakeClock()
    server = Server(settings(f"http://{page.address}"), now=clock.now)
    for _ in range(2):
        page.text = f'{{"data": {{"result": [{clock.time}, "x"]}}}}'
        await asyncio.gather(*(server.skew(clock) for _ in range(50)))
        clock.time += 61
    await server.close()
    assert page.asked == 2


@pytest.mark.parametrize("ahead", [-3600, 3600])
async def test_clock_that_is_far_off_is_refused(page: Page, ahead: float) -> None:
    clock = FakeClock()
    page.text = f'{{"data": {{"result": [{clock.time + ahead}, "x"]}}}}'
    server = Server(settings(f"http://{page.address}"), now=clock.now)
    with pytest.raises(Unavailable, match=f"3600 s {'ahead of' if ahead > 0 else 'behind'} this worker's"):
        await server.skew(clock)
    await server.close()


@pytest.mark.parametrize(("ahead", "is_warned"), [(7, False), (-12, True)])
async def test_small_difference_of_clocks_is_taken_into_account(
    page: Page, ahead: float, is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    page.text = f'{{"data": {{"result": [{clock.time + ahead}, "x"]}}}}'
    server = Server(settings(f"http://{page.address}"), now=clock.now)
    assert await server.skew(clock) == pytest.approx(ahead)
    assert ("set both by NTP" in caplog.text) == is_warned
    await server.close()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "prometheus:9090"}, "url"),
        ({"url": "http://ann:secret@prometheus"}, "url"),
        ({"bearerTokenFile": "t", "basicAuth": {"username": "a", "passwordFile": "p"}}, "give one of them"),
        ({"tls": {"certFile": "c"}}, "certFile and keyFile belong together"),
        ({"scrapeInterval": "100ms"}, "scrapeInterval"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        settings(**{"url": "http://prometheus", **fields})


async def test_several_servers_have_names(page: Page) -> None:
    named = {name: settings(f"http://{page.address}/{name}") for name in ("main", "mesh")}
    registry = metrics_providers(named, Instances())
    assert registry.kinds == ("main", "mesh")
    for provider in registry:
        await provider.close()
