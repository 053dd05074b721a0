"""docs/how-to/temporal-cli.md, block by block, against the real workflows."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from cli.names import Ref
from cli.render.follow import snapshots
from cli.tools import Toolbox
from tests.cli.real import RealRelease
from tests.temporal import unique

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "temporal-cli.md"
NAME = "trip-service"


def sections() -> dict[str, list[str]]:
    """The page's bash blocks by heading."""
    found = re.split(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        title: re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for title, text in zip(found[::2], found[1::2], strict=True)
    }


SECTIONS = sections()
FUNCTIONS = SECTIONS["Name the run you mean"]


class Page:
    """Runs blocks in a shell, under a release name and a task queue that no other test uses."""

    def __init__(self, real: RealRelease, folder: Path) -> None:
        self.real, self.folder, self.name = real, folder, unique("trip")
        self.ref = Ref("production", self.name)

    def own(self, text: str) -> str:
        return text.replace(NAME, self.name).replace("--task-queue headgate", f"--task-queue {self.real.queue}")

    async def run(self, *blocks: str, status: int = 0) -> str:
        binary = Toolbox().temporal().path.parent / "temporal"
        shell = f'temporal() {{ "{Toolbox().temporal().path}" "$@"; }}' if not binary.exists() else ""
        script = "\n".join(["set -eu", shell, f'PATH="{binary.parent}:$PATH"', *map(self.own, blocks)])
        address = self.real.client.service_client.config.target_host
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            script,
            cwd=self.folder,
            env={**os.environ, "TEMPORAL_ADDRESS": address},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
        assert process.returncode == status, output
        return output

    async def start(self) -> None:
        """The first section: the document into a file, the workflow started."""
        (document,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        (self.folder / "release.json").write_text(self.own(document))
        self.real.prepare(json.loads(self.own(document)))
        await self.run(*SECTIONS["Start"])

    async def at_the_gate(self) -> None:
        async with asyncio.timeout(120):
            async for snapshot in snapshots(self.real.headgate, self.ref):
                if snapshot.status and any(gate.state == "open" for gate in snapshot.status.gates):
                    return


@pytest.fixture
async def page(real: RealRelease, tmp_path: Path) -> Page:
    """A release that waits at its gate."""
    real.world.speed = 10_000
    page = Page(real, tmp_path)
    await page.start()
    await page.at_the_gate()
    return page


def test_every_block_of_the_page_is_run_here() -> None:
    assert set(SECTIONS) == {
        "Start", "Look", "Name the run you mean", "Approve or reject", "Pause and resume", "Abort",
        "Without waiting for an answer", "Wait for the end", "Roll back to an earlier version",
    }  # fmt: skip
    assert sum(map(len, SECTIONS.values())) == PAGE.read_text(encoding="utf-8").count("```bash")


async def test_a_second_start_is_refused(page: Page) -> None:
    output = await page.run(*SECTIONS["Start"], status=1)
    assert "already" in output


async def test_looking_shows_release_and_rollout(page: Page) -> None:
    release, rollout, listing = SECTIONS["Look"]
    assert "ApprovalWanted" in await page.run(release)
    assert '"verified"' in await page.run(rollout)
    await page.run(listing)


async def test_two_approvals_finish_it(page: Page) -> None:
    await page.run(*FUNCTIONS, *SECTIONS["Approve or reject"])
    assert "Succeeded" in await page.run(*SECTIONS["Wait for the end"])


async def test_pause_and_resume(page: Page) -> None:
    assert "resume is taken" in await page.run(*FUNCTIONS, *SECTIONS["Pause and resume"])


@pytest.mark.parametrize("section", ["Abort", "Without waiting for an answer"])
async def test_abort_undoes_it(page: Page, section: str) -> None:
    await page.run(*FUNCTIONS, *SECTIONS[section])
    assert "Aborted" in await page.run(*SECTIONS["Wait for the end"], status=1)
    assert all(place.traffic and place.traffic.weights == {"stable": 100} for place in page.real.world.places.values())


async def test_rollback_of_a_release_under_way_aborts_it_first(page: Page) -> None:
    await page.run(*SECTIONS["Roll back to an earlier version"])
    ending = await page.real.headgate.wait(page.ref)
    assert (ending.outcome, ending.reason) == ("Aborted", "RollbackRequested")
