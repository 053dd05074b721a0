"""What the releases run on: Temporal, two workers that may be killed, one Envoy, and a few users for every service."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import aiohttp
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.clusters.envoy.routes import RouteFile, RouteState
from activities.clusters.envoy.settings import EnvoySettings
from activities.clusters.local import processes
from activities.clusters.local.state import Service, ServiceState
from cli.demo.programs import Ports, Program, python
from cli.tools import Toolbox
from tests.activities.world import REPOSITORY
from tests.kill.releases import NAMESPACE, POLICY
from tests.temporal import address_of
from worker.settings import Settings, load
from workflows.engine.visibility import KEYS

QUEUE = "headgate"
MARK = "KILL_PROOF"
"""In the environment of every instance."""
PATIENCE = 60.0
"""Seconds that a program may take to start on a busy machine."""


class Fleet:
    """One directory, and everything that lives in it."""

    def __init__(self, directory: Path, services: Sequence[str]) -> None:
        self.directory = directory
        self.services = services
        self._ports = Ports()
        self._health = {name: self._ports.take() for name in ("worker-1", "worker-2")}
        self._write_settings()
        self.settings: Settings = load(directory / "settings.yaml", {})
        self.workers: list[Program] = []
        self.answers: Counter[tuple[str, str, str]] = Counter()
        """Requests by service, version and what came of them."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Client]:
        """Everything runs inside; nothing is left afterwards."""
        tools = Toolbox()
        async with (
            await WorkflowEnvironment.start_local(
                data_converter=pydantic_data_converter,
                dev_server_existing_path=str(tools.temporal().path),
                dev_server_log_level="error",
                search_attributes=KEYS,
            ) as server,
            AsyncExitStack() as stack,
        ):
            self._address = address_of(server)
            self.workers = [self._worker(name) for name in self._health]
            for worker in self.workers:
                await worker.start()
                stack.push_async_callback(worker.stop)
            await asyncio.gather(*map(self.ready, self.workers))
            envoy = self._envoy(tools.envoy().path)
            await envoy.start()
            stack.push_async_callback(envoy.stop)
            await _until(lambda: _answers(f"{self.envoy.admin}/ready"), envoy)
            yield server.client

    async def ready(self, worker: Program) -> None:
        """Waits until a worker takes work."""
        await _until(lambda: _answers(f"http://127.0.0.1:{self._health[worker.name]}/readyz"), worker)

    async def serving(self, name: str) -> None:
        """Waits until every instance answers: on a busy machine a release would be refused for a slow baseline."""
        urls = [f"http://127.0.0.1:{item.port}/ready" for item in self.state(name).of("stable")]
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(lambda: all(map(_answers, urls))):  # noqa: ASYNC110 - it asks processes.
                await asyncio.sleep(0.1)

    @property
    def envoy(self) -> EnvoySettings:
        assert self.settings.envoy
        return self.settings.envoy

    def service(self, name: str) -> Service:
        return Service(self.settings.process.clusters["local"].root, NAMESPACE, name)

    def state(self, name: str) -> ServiceState:
        """What stands beside a service: fences, mark, kept versions, instances."""
        return self.service(name).file.read()

    def route(self, name: str) -> RouteState:
        return RouteFile(self.envoy, name).file.read()

    def weights(self, name: str) -> dict[str, float]:
        """Percent by slot as Envoy itself routes its users; nothing where it answers by itself."""
        url = f"{self.envoy.admin}/config_dump?resource=dynamic_route_configs&name_regex=^{name}$"
        with urlopen(url, timeout=5) as answer:
            (found,) = json.load(answer)["configs"]
        (users,) = (host for host in found["route_config"]["virtual_hosts"] if host["name"] == "users")
        shares = [entry.get("route", {}).get("weighted_clusters", {}).get("clusters", []) for entry in users["routes"]]
        return {str(c["name"]).removeprefix(f"{name}."): float(c["weight"]) / 100 for part in shares for c in part}

    def tokens(self) -> Counter[str]:
        """How many processes lead a session under each instance's token, whoever started them."""
        found: Counter[str] = Counter()
        marker = f"{MARK}={self.directory}".encode()
        for pid, variables in _environments():
            if marker in variables and _is_leader(pid):
                found.update(v.decode() for v in variables if v.startswith(processes.TOKEN.encode()))
        return found

    def sweep(self) -> None:
        """Ends every instance: they outlive the workers on purpose."""
        marker = f"{MARK}={self.directory}".encode()
        for pid, variables in _environments():
            if marker in variables:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def audit(self) -> list[dict[str, Any]]:
        """Every audit record, in the order they were written."""
        files = sorted((self.directory / "audit").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]

    async def use(self, name: str, dice: Any) -> None:
        """One user of a service, until cancelled."""
        url = f"http://127.0.0.1:{self.envoy.routes[name].port}/"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            while True:
                try:
                    async with session.get(url) as answer:
                        await answer.read()
                        kind = answer.headers.get("x-headgate", str(answer.status))
                        self.answers[name, answer.headers.get("x-version", "-"), kind] += 1
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.answers[name, "-", type(error).__name__] += 1
                await asyncio.sleep(dice.uniform(0.05, 0.15))

    def _worker(self, name: str) -> Program:
        env = {
            "TEMPORAL_ADDRESS": self._address,
            "TEMPORAL_CONFIG_FILE": str(self.directory / "no-profile.toml"),
            "HEADGATE_HEALTH__BIND": f"127.0.0.1:{self._health[name]}",
        }
        command = python("cli.app", "worker", "--settings", str(self.directory / "settings.yaml"))
        return Program(name, command, directory=self.directory, env=env)

    def _envoy(self, program: Path) -> Program:
        quiet = ["--log-level", "error", "--disable-hot-restart", "--concurrency", "1"]
        command = [str(program), "-c", str(self.envoy.directory / "bootstrap.json"), *quiet]
        return Program("envoy", command, directory=self.directory)

    def _write_settings(self) -> None:
        """JSON is YAML too."""
        policy = self.directory / "policy.yaml"
        policy.write_text(json.dumps(POLICY))
        place = {"cluster": "local", "namespace": NAMESPACE}
        demo = {
            "command": [sys.executable, "-m", "cli.demo.service"],
            "directory": str(REPOSITORY),
            "env": {MARK: str(self.directory)},
            "stopGrace": 2,
        }
        settings = {
            "policy": str(policy),
            "process": {
                "clusters": {"local": {"root": str(self.directory / "services")}},
                "programs": {"demo": demo},
                "quiet": 0.2,
                "propagation": 0.2,
            },
            "envoy": {
                "directory": str(self.directory / "envoy"),
                "admin": f"http://127.0.0.1:{self._ports.take()}",
                "routes": {name: {**place, "service": name, "port": self._ports.take()} for name in self.services},
            },
            "audit": {"file": {"kind": "jsonl", "directory": str(self.directory / "audit")}},
            "janitor": {"every": "3s"},
        }
        (self.directory / "settings.yaml").write_text(json.dumps(settings))


def _environments() -> list[tuple[int, list[bytes]]]:
    """What every process was started with, as far as it can be read."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((int(entry.name), (entry / "environ").read_bytes().split(b"\0")))
            except OSError:
                continue
    return found


def _is_leader(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[3]) == pid and fields[0] not in "ZX"


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def _until(is_up: Any, program: Program) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(is_up):
            if not program.is_running:
                raise program.failure("ended")
            await asyncio.sleep(0.1)
