"""Makes the pictures of docs/images again: `python -m tests.e2e.screenshots`, with Debian's chromium installed.

It runs the demo's playground, brings a release into each state that people will look for, and photographs Temporal's
UI, and one as `headgate watch` shows it. The browser is driven over its own protocol, because a screenshot from the
command line can't wait for a page that keeps polling. Look at the pictures before you commit them.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from typer.testing import CliRunner

from cli.app import app
from cli.client import Headgate
from cli.demo.playground import Places, Playground
from cli.demo.scenarios import FIRST, SCENARIOS
from cli.names import Ref
from cli.reading import Overrides, read_release
from cli.render.release import render
from workflows.model.shapes import dump
from workflows.model.status import Phase

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = (1280, 1000)
COLUMNS = 92
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def photograph(
        self, url: str, file: Path, *, until: str, settle: float = 3, size: tuple[int, int] = SIZE
    ) -> None:
        """Opens an address, waits until the page has a text and has come to rest, and saves a picture of it."""
        width, height = size
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self._call("Page.navigate", url=url)
        try:
            async with asyncio.timeout(60):
                while until not in await self._text():  # noqa: ASYNC110 (another program's page)
                    await asyncio.sleep(0.3)
            await asyncio.sleep(settle)
        except TimeoutError:
            print(f"{until!r} did not appear; the page says:\n{await self._text()}")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        answer = await self._call("Page.captureScreenshot", format="png", clip=clip)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(answer["data"]))
        print(file)

    async def _text(self) -> str:
        answer = await self._call("Runtime.evaluate", expression="document.body ? document.body.innerText : ''")
        return str(answer["result"].get("value", ""))

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async for message in self._socket:
            answer = message.json()
            if answer.get("id") == number:
                return dict(answer["result"])
        raise ConnectionError("the browser has gone")


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A headless chromium with one page."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        sys.exit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-data-dir={directory}", f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank",
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = await asyncio.to_thread(_port, Path(directory) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    pages = [page for page in await answer.json(content_type=None) if page["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            process.terminate()
            await process.wait()


def _port(file: Path) -> int:
    """The port that the browser has written down."""
    for _ in range(300):
        if file.exists() and (text := file.read_text()):
            return int(text.splitlines()[0])
        time.sleep(0.1)
    sys.exit("chromium does not start")


async def report(page: Page) -> None:
    """Photographs the report of the recording in examples/analyze: the same picture each time."""
    folder = IMAGES.parents[1] / "examples" / "analyze"
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "report.html"
        command = ["analyze", str(folder / "release.yaml"), "--csv", str(folder / "bad.csv"), "--html", str(file)]
        CliRunner().invoke(app, command, catch_exceptions=False)
        await page.photograph(f"file://{file}", IMAGES / "report.png", until="How to read this", settle=1)


class Photographer:
    """Brings releases into states and takes their pictures."""

    def __init__(self, playground: Playground, headgate: Headgate, page: Page) -> None:
        self._places = playground.places
        self._headgate = headgate
        self._page = page

    async def release(self, scenario: str, *settings: str) -> tuple[Ref, str]:
        """Starts a scenario, some of its fields changed."""
        file = (SCENARIOS.get(scenario) or FIRST).file
        document = dump(read_release(file, Overrides(settings=settings)))
        started = await self._headgate.start(document)
        return started.ref, started.run_id

    async def until(self, ref: Ref, phase: Phase, *, stage: int = 0) -> None:
        """Waits until a release is there."""
        while True:
            status = (await self._headgate.status(ref)).status
            if status and status.phase == phase and any(item.stage >= stage for item in status.components):
                return
            await asyncio.sleep(0.3)

    async def take(self, workflow_id: str, run_id: str, tab: str, *, name: str, until: str) -> None:
        """Photographs a tab of a workflow's page."""
        url = self._places.release_url(workflow_id, run_id).removesuffix("history") + tab
        await self._page.photograph(url, IMAGES / name, until=until)

    async def watch(self, ref: Ref, *, name: str) -> None:
        """Photographs what `headgate watch` shows."""
        console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True)
        console.print(render(await self._headgate.status(ref), width=COLUMNS))
        picture = console.export_svg(title=f"headgate watch {ref}")
        wide, high = (float(side) for side in picture.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split())
        with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as page:
            page.write(f'<meta charset="utf-8"><body style="margin:0">{picture}')
            page.flush()
            size = (ceil(wide), ceil(high))
            await self._page.photograph(f"file://{page.name}", IMAGES / name, until=ref.name, settle=1, size=size)

    async def rollout(self, ref: Ref) -> tuple[str, str]:
        """The workflow of the release's only component."""
        status = (await self._headgate.status(ref)).status
        assert status
        return status.components[0].rollout_id, status.components[0].run_id


async def main() -> None:
    """All of them."""
    async with Playground(Places.free(), rate=100, say=print) as playground, browser() as page:
        await report(page)
        headgate = Headgate(await playground.connect())
        photographer = Photographer(playground, headgate, page)
        first, run = await photographer.release("first")
        await headgate.wait(first, run_id=run)
        await playground.send_users()

        stages = "spec.components.shop.strategy.stages=[{weight: 10, observe: 4s}, {weight: 25, observe: 5m}]"
        ref, run = await photographer.release("canary-good", stages)
        await photographer.until(ref, "Observing", stage=2)
        await photographer.take(ref.workflow_id, run, "user-metadata", name="observing.png", until="Current Details")
        await photographer.watch(ref, name="watch.png")
        rollout, its_run = await photographer.rollout(ref)
        await photographer.take(rollout, its_run, "history", name="rollout.png", until="Send 25 % of users")
        await headgate.abort(ref, by="tests", reason="the picture is taken")
        await headgate.wait(ref, run_id=run)

        ref, run = await photographer.release("canary-bad")
        await headgate.wait(ref, run_id=run)
        await photographer.take(ref.workflow_id, run, "history", name="rolled-back.png", until="RolledBack")

        ref, run = await photographer.release("approval")
        await photographer.until(ref, "Waiting")
        await photographer.take(ref.workflow_id, run, "user-metadata", name="waiting.png", until="Current Details")


if __name__ == "__main__":
    asyncio.run(main())
