"""Where benchmarks run: a real Temporal server, `headgate worker` processes and one Envoy, in a directory of its own.

Everything is started as a person would start it. Each process carries the directory in its environment, so that the
demo's sweeper ends all of them, whatever becomes of the benchmark.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from cli.client import Headgate
from cli.demo.programs import Ports, Program, python
from cli.demo.sweeper import MARK
from cli.demo.weights import Witness
from cli.tools import Toolbox
from tests.bench.rows import Say
from workflows.engine.visibility import KEYS

SERVICE = Path(__file__).parents[2] / "cli" / "demo" / "service.py"
NAMESPACE = "bench"
START_SECONDS = 60.0
POLL = 0.005
"""Seconds between two questions to Envoy while a change is timed."""


@dataclass(frozen=True)
class Layout:
    """How much of everything."""

    routes: int = 1
    workers: int = 1
    slots: dict[str, int] = field(default_factory=dict)
    """Other slots than a worker's defaults."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Metrics providers of the workers by name; without any, `main` asks Envoy itself."""


class Ground:
    """Starts when entered; leaves nothing behind."""

    def __init__(self, layout: Layout, say: Say) -> None:
        self.layout = layout
        self.say = say
        self.workers: list[Program] = []
        self._stack = AsyncExitStack()
        ports = Ports()
        self._temporal_port, admin = ports.take(), ports.take()
        self._health = [ports.take() for _ in range(layout.workers)]
        self.admin = f"http://127.0.0.1:{admin}"
        self.routes = {f"r{number}": ports.take() for number in range(layout.routes)}

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
    def temporal(self) -> str:
        """`host:port` of the server."""
        return f"127.0.0.1:{self._temporal_port}"

    def users_url(self, route: str) -> str:
        """Where the users of a route come in."""
        return f"http://127.0.0.1:{self.routes[route]}/"

    async def share(self, route: str) -> float | None:
        """Percent of the users that Envoy sends to the slot of the new version at this moment; None without a route."""
        url = f"{self.admin}/config_dump?resource=dynamic_route_configs&name_regex=^{route}$"
        async with self._http.get(url) as answer:
            found = (await answer.json(content_type=None)).get("configs", [])
        return _share(found[0]["route_config"], f"{route}.canary") if found else None

    async def until(self, route: str, true: Callable[[float], bool], *, patience: float = 60) -> float:
        """Asks Envoy until the share is as wanted; returns the moment, by `time.perf_counter`."""
        async with asyncio.timeout(patience):
            while True:
                share = await self.share(route)
                if share is not None and true(share):
                    return time.perf_counter()
                await asyncio.sleep(POLL)

    async def observer(self, route: str) -> int:
        """The process that observes a route's release; 0 when nobody does at this moment."""
        described = await self.client.get_workflow_handle(f"rollout/local/{NAMESPACE}/process/{route}").describe()
        for pending in described.raw_description.pending_activities:
            if pending.activity_type.name == "metrics.observe":
                return int(pending.last_worker_identity.partition("@")[0] or 0)
        return 0

    def witness(self, route: str) -> Witness:
        """Remembers every weight of a route with the time at which Envoy began to use it."""
        witness = Witness(self.admin, route)
        task = asyncio.create_task(witness.run())
        self._stack.callback(task.cancel)
        return witness

    async def run(self, program: Program, is_up: Check) -> None:
        """Starts a program that belongs to this ground and waits until it is up."""
        await program.start()
        self._stack.push_async_callback(program.stop)
        await _until(is_up, program)

    async def restart(self, worker: Program) -> None:
        """Starts a worker again that was killed."""
        await worker.start()
        await _until(self._is_ready(worker), worker)

    async def _start(self) -> None:
        tools = Toolbox(say=self.say)
        temporal, envoy = await asyncio.to_thread(lambda: (tools.temporal(), tools.envoy()))
        self.directory = Path(tempfile.mkdtemp(prefix="headgate-bench-"))
        self._stack.push_async_callback(_sweep, await _sweeper(self.directory))
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5), connector=aiohttp.TCPConnector(limit=0))
        )
        self.server = self._program("temporal", _temporal(str(temporal.path), self._temporal_port))
        await self.run(self.server, self._is_reachable)
        self._write()
        self.workers = [self._worker(number) for number in range(self.layout.workers)]
        await asyncio.gather(*(self.run(worker, self._is_ready(worker)) for worker in self.workers))
        quiet = ["--log-level", "warning", "--disable-hot-restart", "--concurrency", "1"]
        bootstrap = str(self.directory / "envoy" / "bootstrap.json")
        envoyed = self._program("envoy", [str(envoy.path), "-c", bootstrap, *quiet])
        await self.run(envoyed, self._answers(f"{self.admin}/ready"))

    def _program(self, name: str, command: list[str], env: dict[str, str] | None = None) -> Program:
        return Program(name, command, directory=self.directory, env=env)

    def _worker(self, number: int) -> Program:
        env = {
            "TEMPORAL_ADDRESS": self.temporal,
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "HEADGATE_HEALTH__BIND": f"127.0.0.1:{self._health[number]}",
        }
        return self._program(
            f"worker-{number}", python("cli.app", "worker", "--settings", str(self.directory / "settings.yaml")), env
        )

    async def _is_reachable(self) -> bool:
        try:
            client = await Client.connect(self.temporal, data_converter=pydantic_data_converter)
        except RuntimeError:
            return False
        self.client, self.headgate = client, Headgate(client)
        return True

    def _is_ready(self, worker: Program) -> Check:
        return self._answers(f"http://127.0.0.1:{self._health[int(worker.name[-1])]}/readyz")

    def _answers(self, url: str) -> Check:
        async def ask() -> bool:
            try:
                async with self._http.get(url) as answer:
                    return answer.status == 200
            except (aiohttp.ClientError, TimeoutError):
                return False

        return ask

    def _write(self) -> None:
        """Settings and policy; JSON is YAML too."""
        policy = {"apiVersion": "headgate.dev/v1", "kind": "Policy", "spec": POLICY}
        (self.directory / "policy.yaml").write_text(json.dumps(policy))
        (self.directory / "settings.yaml").write_text(json.dumps(self._settings()))

    def _settings(self) -> dict[str, Any]:
        # Without `site` an instance is up in a third of the time, and it needs nothing but the standard library.
        program = {"command": [sys.executable, "-S", "-E", str(SERVICE)], "env": {MARK: str(self.directory)}}
        routes = {
            name: {"port": port, "cluster": "local", "namespace": NAMESPACE, "service": name}
            for name, port in self.routes.items()
        }
        return {
            "policy": "policy.yaml",
            "slots": self.layout.slots,
            "metrics": self.layout.metrics,
            "process": {"clusters": {"local": {"root": "services"}}, "programs": {"service": program}},
            "envoy": {"directory": "envoy", "admin": self.admin, "routes": routes},
            "audit": {"journal": {"kind": "jsonl", "directory": "audit"}},
        }


PLACE = {"targets": [{"cluster": "local", "namespaces": [NAMESPACE]}]}
POLICY: dict[str, Any] = {
    "groups": {"people": ["ann@example.com"]},
    "environments": {
        "bench": PLACE,
        "gated": {**PLACE, "approvals": [{"name": "people", "count": 1, "from": ["people"]}]},
    },
}

Check = Callable[[], Awaitable[bool]]


def pid_of(program: Program) -> int:
    """The process that runs it."""
    assert program._process
    return program._process.pid


def _share(configuration: dict[str, Any], cluster: str) -> float:
    users = next(host for host in configuration["virtual_hosts"] if host["name"] == "users")
    for route in users["routes"]:
        for found in route.get("route", {}).get("weighted_clusters", {}).get("clusters", []):
            if found["name"] == cluster:
                return float(found["weight"]) / 100
    return 0.0


def _temporal(program: str, port: int) -> list[str]:
    attributes = [f"--search-attribute={key.name}={key.indexed_value_type.name.capitalize()}" for key in KEYS]
    return [program, "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), "--headless", *attributes]


async def _until(is_up: Check, program: Program) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await is_up():
                if not program.is_running:
                    raise program.failure("ended at once")
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise program.failure(f"is not ready after {START_SECONDS:g} s") from None


async def _sweeper(directory: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *python("cli.demo.sweeper", str(directory)),
        stdin=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != MARK},
    )


async def _sweep(sweeper: asyncio.subprocess.Process) -> None:
    assert sweeper.stdin
    sweeper.stdin.close()
    await sweeper.wait()
