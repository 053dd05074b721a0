"""Everything the demo runs on: Temporal, two workers, Envoy and users, in one temporary directory.

The workers are started as a person would start them, with a settings file that is the examples' own but for ports and
directories; nothing of `worker` or `activities` is imported.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.request import urlopen

from cli.connection import Connection
from cli.demo.load import users_command
from cli.demo.programs import DemoError, Ports, Program, python
from cli.demo.scenarios import examples
from cli.demo.sweeper import MARK
from cli.errors import Unreachable
from cli.tools import Toolbox

if TYPE_CHECKING:
    from temporalio.client import Client

ROUTE = "shop"
START_SECONDS = 60.0
"""How long anything may take to start, on a machine that has much else to do."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Places:
    """Where everything listens."""

    temporal: int
    ui: int
    users: int
    admin: int
    health: tuple[int, int]

    @classmethod
    def free(cls, *, temporal: int | None = None, users: int | None = None) -> Places:
        """Free ports; the UI's is Temporal's plus 1000 when that one is given, as everywhere. Errors: DemoError."""
        ports = Ports()
        first = ports.take(temporal)
        return cls(
            temporal=first,
            ui=ports.take(temporal + 1000 if temporal else None),
            users=ports.take(users),
            admin=ports.take(),
            health=(ports.take(), ports.take()),
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.temporal}"

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self.ui}"

    @property
    def users_url(self) -> str:
        return f"http://127.0.0.1:{self.users}/"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin}"

    def release_url(self, workflow_id: str, run_id: str) -> str:
        """A release in Temporal's UI."""
        return f"{self.ui_url}/namespaces/default/workflows/{workflow_id.replace('/', '%2F')}/{run_id}/history"


class Playground:
    """Starts in order when entered; on leaving, the sweeper sees to it that nothing stays."""

    def __init__(self, places: Places, *, rate: float, say: Say) -> None:
        self.places = places
        self._rate = rate
        self._say = say
        self._stack = AsyncExitStack()
        self.workers: list[Program] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def settings(self) -> Path:
        """The settings file of the workers."""
        return self.directory / "settings.yaml"

    @property
    def connection(self) -> dict[str, str]:
        """The variables that lead to this Temporal, and keep the profile of another one away."""
        return {"TEMPORAL_ADDRESS": self.places.address, "TEMPORAL_CONFIG_FILE": os.devnull}

    async def connect(self) -> Client:
        """A connection to this Temporal, whatever the demo's own environment says. Errors: Unreachable."""
        for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
            del os.environ[name]
        os.environ |= self.connection
        return await Connection().open()

    @property
    def record(self) -> Path:
        """What the users wrote down."""
        return self.directory / "requests.txt"

    async def _start(self) -> None:
        tools = Toolbox(say=self._say)
        temporal, envoy = await asyncio.to_thread(lambda: (tools.temporal(), tools.envoy()))
        self.directory = Path(tempfile.mkdtemp(prefix="headgate-demo-"))
        self._stack.push_async_callback(self._sweep, await _sweeper(self.directory))
        self._say(f"Temporal {temporal.version}, its UI at {self.places.ui_url}")
        await self._run(
            Program("temporal", self._temporal(temporal.path), directory=self.directory), self._is_reachable
        )
        self._write_settings()
        self._say(f"two workers; logs in {self.directory}/logs")
        self.workers = [self._worker(number) for number in (1, 2)]
        await asyncio.gather(*(self._run(worker, self.is_ready(worker)) for worker in self.workers))
        self._say(f"Envoy {envoy.version}; users come in at {self.places.users_url}")
        await self._run(
            Program("envoy", self._envoy(envoy.path), directory=self.directory),
            _answers(f"{self.places.admin_url}/ready"),
        )

    async def send_users(self) -> None:
        """Lets the users in; they come until the end."""
        self._say(f"{self._rate:g} requests a second from here on")
        command = users_command(self.places.users_url, self._rate, self.record)
        await self._run(Program("users", command, directory=self.directory), _exists(self.record))

    async def restart(self, worker: Program) -> None:
        """Starts a worker again that was killed, and waits until it takes work."""
        await worker.start()
        await _until(self.is_ready(worker), worker)

    def is_ready(self, worker: Program) -> Check:
        """Whether a worker takes work."""
        return _answers(f"http://127.0.0.1:{self._health(worker)}/readyz")

    def _health(self, worker: Program) -> int:
        return self.places.health[int(worker.name[-1]) - 1]

    async def _is_reachable(self) -> bool:
        try:
            await self.connect()
        except Unreachable:
            return False
        return True

    async def _run(self, program: Program, is_up: Check) -> None:
        await program.start()
        self._stack.push_async_callback(program.stop)
        await _until(is_up, program)

    async def _sweep(self, sweeper: asyncio.subprocess.Process) -> None:
        """The one that removes: it does the same when the demo is killed."""
        assert sweeper.stdin  # noqa: S101 - it was started with a pipe.
        sweeper.stdin.close()
        await sweeper.wait()

    def _temporal(self, program: Path) -> list[str]:
        from temporalio.common import SearchAttributeIndexedValueType as Type

        from workflows.engine.visibility import KEYS

        types = {Type.KEYWORD: "Keyword", Type.DOUBLE: "Double", Type.INT: "Int", Type.BOOL: "Bool"}
        ports = ["--port", str(self.places.temporal), "--ui-port", str(self.places.ui)]
        attributes = [f"--search-attribute={key.name}={types[key.indexed_value_type]}" for key in KEYS]
        database = self.directory / "temporal.db"
        return [
            str(program),
            "server",
            "start-dev",
            "--ip",
            "127.0.0.1",
            *ports,
            "--db-filename",
            str(database),
            *attributes,
        ]

    def _worker(self, number: int) -> Program:
        address = f"127.0.0.1:{self.places.health[number - 1]}"
        env = {**self.connection, "HEADGATE_HEALTH__BIND": address}
        command = python("cli.app", "worker", "--settings", str(self.settings))
        return Program(f"worker-{number}", command, directory=self.directory, env=env)

    def _envoy(self, program: Path) -> list[str]:
        bootstrap = self.directory / "envoy" / "bootstrap.json"
        quiet = ["--log-level", "warning", "--disable-hot-restart", "--concurrency", "1"]
        return [str(program), "-c", str(bootstrap), *quiet]

    def _write_settings(self) -> None:
        """The examples' settings and policy, with this demo's ports and directories."""
        from ruamel.yaml import YAML

        yaml = YAML(typ="safe", pure=True)
        settings: dict[str, Any] = yaml.load(examples() / "settings.yaml")
        policy = self.directory / "policy.yaml"
        policy.write_bytes((examples() / settings["policy"]).read_bytes())
        settings |= {"policy": str(policy), "shutdown": {"grace": "3s"}, "janitor": {"every": "5s"}}
        process, envoy = settings["process"], settings["envoy"]
        process["clusters"]["local"]["root"] = str(self.directory / "services")
        for item in process["programs"].values():
            item["command"] = [sys.executable, *item["command"][1:]]
            item["env"] = {MARK: str(self.directory)}
        envoy |= {"directory": str(self.directory / "envoy"), "admin": self.places.admin_url}
        envoy["routes"][ROUTE]["port"] = self.places.users
        with self.settings.open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(settings, file)


Check = Callable[[], Awaitable[bool]]


async def _until(is_up: Check, program: Program) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await is_up():
                if not program.is_running:
                    raise program.failure("ended at once")
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise program.failure(f"is not ready after {START_SECONDS:g} s") from None


def _answers(url: str) -> Check:
    def ask() -> bool:
        try:
            with urlopen(url, timeout=1) as answer:  # noqa: S310 - an address of ours.
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    return lambda: asyncio.to_thread(ask)


def _exists(file: Path) -> Check:
    async def check() -> bool:
        return file.exists()  # noqa: ASYNC240 - a look at a local file.

    return check


async def _sweeper(directory: Path) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *python("cli.demo.sweeper", str(directory)),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name != MARK},
        )
    except OSError as error:
        raise DemoError(f"the demo cannot start programs: {error}") from error
