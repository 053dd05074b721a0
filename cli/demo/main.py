"""`headgate demo`: real releases with real traffic on this machine, and nothing left behind.

The order is always the same: start everything, release a first version, let the users in, play the scenarios, sum up.
"""

from __future__ import annotations

import asyncio
import json
import random
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.client import Headgate
from cli.demo.chaos import Chaos
from cli.demo.playground import ROUTE, Places, Playground
from cli.demo.programs import DemoError
from cli.demo.scenarios import FIRST, SCENARIOS, Scenario, chosen
from cli.demo.summary import Played, links, summary
from cli.demo.traffic import Record
from cli.demo.view import View
from cli.demo.weights import Witness
from cli.names import Ref
from cli.snapshot import Ending, Started
from workflows.model.shapes import dump
from workflows.model.status import ReleaseStatus

THINKING = 2.0
"""Seconds that the people of the demo take to answer."""
AFTERGLOW = 1.0
"""Seconds after a release in which its last answers are still counted."""
INTERRUPTED = 130
LIMIT = 420.0
"""Seconds after which a release that should have ended long ago is aborted, so that nobody waits for ever."""


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    scenarios: tuple[str, ...] = ()
    keep: bool = False
    kill_workers: bool = False
    seed: int | None = None
    rate: float = 200
    port: int | None = None
    """Temporal's; its UI gets the one 1000 above."""
    users_port: int | None = None
    as_json: bool = False


def run(options: Options) -> int:
    """Plays the scenarios and returns the exit code: 0 when each ended as expected, and good ones lost no request.

    Errors: BadInput for a scenario that there is none of, DemoError for what cannot be started.
    """
    # With JSON, standard output carries nothing else.
    console = Console(highlight=False, stderr=options.as_json)
    view = View(console, is_live=console.is_terminal)
    return asyncio.run(_until_interrupted(Demo(options, view, console)))


async def _until_interrupted(demo: Demo) -> int:
    task = asyncio.create_task(demo.run())
    with _signals(task):
        try:
            return await task
        except asyncio.CancelledError:
            return INTERRUPTED


@contextmanager
def _signals(task: asyncio.Task[int]) -> Iterator[None]:
    """Ctrl-C, a closed terminal and SIGTERM end the demo once; a second one while it cleans up changes nothing."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end() -> None:
        for number in numbers:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, end)
    yield


class Demo:
    """One run of the demo."""

    def __init__(self, options: Options, view: View, console: Console) -> None:
        self._options = options
        self._view = view
        self._console = console
        self._scenarios = chosen(list(options.scenarios))

    async def run(self) -> int:
        """Everything from the first start to the last clean-up."""
        options, say = self._options, self._view.say
        places = Places.free(temporal=options.port, users=options.users_port)
        async with AsyncExitStack() as stack:
            self._playground = await stack.enter_async_context(Playground(places, rate=options.rate, say=say))
            self._headgate = Headgate(await self._playground.connect())
            self._record = Record(self._playground.record)
            self._witness = Witness(places.admin_url, ROUTE)
            watching = asyncio.create_task(self._witness.run())
            stack.callback(watching.cancel)
            played = await self._play_all(places)
            self._show(played)
            if options.keep:
                await self._keep(places)
        return 0 if all(not item.complaints for item in played) else 1

    async def _play_all(self, places: Places) -> list[Played]:
        first = await self._play(FIRST, places)
        if first.complaints:
            raise DemoError(f"the first release {first.complaints[0]}")
        await self._playground.send_users()
        chaos = self._chaos()
        killing = asyncio.create_task(chaos.run()) if chaos else None
        try:
            return [await self._play(scenario, places) for scenario in self._scenarios]
        finally:
            if chaos and killing:
                chaos.stop()
                await killing
                self._view.say(f"{chaos.kills} workers were killed")

    def _chaos(self) -> Chaos | None:
        if not self._options.kill_workers:
            return None
        seed = random.SystemRandom().randrange(10**6) if self._options.seed is None else self._options.seed
        self._view.say(f"killing workers from here on, --seed {seed}")
        return Chaos(self._playground, seed, self._view.say)

    async def _play(self, scenario: Scenario, places: Places) -> Played:
        document = scenario.read()
        ref = Ref(document.spec.environment, document.metadata.name)
        title = f"{scenario.name}: {document.metadata.name} {document.spec.version}, {scenario.shows}"
        self._view.heading(title, _commands(scenario, ref))
        version = document.spec.version
        fault = scenario.fault
        tally = self._record.begin(lambda request: fault is not None and request.version == version and fault(request))
        begun = time.time()
        started = await self._headgate.start(dump(document))
        ending = await self._until_end(scenario, started)
        await asyncio.sleep(AFTERGLOW if self._playground.record.exists() else 0)
        self._record.read()
        return Played(
            scenario,
            version,
            ending,
            seconds=time.time() - begun,
            tally=tally,
            back_at_zero=self._witness.back_at_zero(tally.first_bad) if tally.first_bad else None,
            url=places.release_url(started.workflow_id, started.run_id),
        )

    async def _until_end(self, scenario: Scenario, started: Started) -> Ending:
        helpers = [self._view.follow(self._headgate, started.ref, started.run_id, self._record)]
        if scenario.approvers:
            helpers.append(self._approve(scenario, started.ref))
        tasks = [asyncio.create_task(helper) for helper in helpers]
        try:
            ending = await self._ending(started)
            await asyncio.wait(tasks, timeout=3)
            return ending
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ending(self, started: Started) -> Ending:
        try:
            return await asyncio.wait_for(self._headgate.wait(started.ref, run_id=started.run_id), LIMIT)
        except TimeoutError:
            status = (await self._headgate.status(started.ref)).status or ReleaseStatus()
            waits = f"; it waits: {status.wait.message}" if status.wait else ""
            reason = f"it has not ended within {LIMIT:g} s{waits}"
            self._view.say(f"  aborting the release: {reason}")
            await self._headgate.abort(started.ref, by="the demo", reason=reason)
            return await self._headgate.wait(started.ref, run_id=started.run_id)

    async def _approve(self, scenario: Scenario, ref: Ref) -> None:
        """Lets people answer each gate that opens."""
        answered: set[str] = set()
        while True:
            await asyncio.sleep(0.5)
            status = (await self._headgate.status(ref)).status or ReleaseStatus()
            for gate in status.gates:
                if gate.state != "open" or gate.instance in answered:
                    continue
                answered.add(gate.instance)
                for person in scenario.approvers:
                    await asyncio.sleep(THINKING)
                    await self._headgate.approve(ref, gate.instance, by=person, comment="in the demo")
                    self._view.say(f"  {person} approves {gate.name}")

    def _show(self, played: list[Played]) -> None:
        self._record.read()
        if self._options.as_json:
            total = self._record.total
            data = {
                "requests": total.sent,
                "failed": total.failed,
                "scenarios": [item.to_json() for item in played],
            }
            print(json.dumps(data, indent=2))
            return
        self._console.print()
        self._console.print(summary(played, self._record.total))
        self._console.print()
        for line in links(played):
            self._view.say(line)

    async def _keep(self, places: Places) -> None:
        lines = [
            "",
            "Everything keeps running until Ctrl-C. In another terminal:",
            f"  export TEMPORAL_ADDRESS={places.address}",
            f"  headgate start {_shown(SCENARIOS['canary-bad'].file)} --version v9.0.0 --wait  # edit it first",
            "  headgate list --all",
            f"  temporal workflow list          # UI: {places.ui_url}",
            f"  curl -i {places.users_url}",
            f"  ls {self._playground.directory}     # settings, policy, logs, the users' record",
        ]
        for line in lines:
            self._view.say(line)
        with suppress(asyncio.CancelledError):  # The way out, and no failure.
            await asyncio.Event().wait()


def _commands(scenario: Scenario, ref: Ref) -> Iterator[str]:
    """What a person would type to get the same."""
    yield f"headgate start {_shown(scenario.file)} --wait"
    for person in scenario.approvers:
        yield f"headgate approve {ref} --by {person}"


def _shown(file: Path) -> str:
    """The path as short as it can be typed."""
    here = Path.cwd()
    return shlex.quote(str(file.relative_to(here) if file.is_relative_to(here) else file))
