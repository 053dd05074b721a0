"""A small real world for provider tests: a directory, programs that run, an Envoy, and runs that are open or closed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

import aiohttp
from temporalio.testing import ActivityEnvironment

import envoy
from activities.clusters.envoy.bootstrap import write_bootstrap
from activities.clusters.envoy.settings import EnvoySettings, Route
from activities.clusters.local import processes
from activities.clusters.local.settings import LocalCluster, ProcessSettings, Program
from activities.targets.activities import Targets
from activities.traffic.activities import Traffic
from activities.traffic.registry import traffic_routers
from activities.workloads.activities import Workloads
from activities.workloads.registry import workload_providers
from workflows.model.target import ReleaseRef, Target, Template

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
ENVOY = Path(str(envoy.__file__)).parent / "_bin" / "envoy"


def a_template(version: str, **env: str) -> Template:
    """A version of the demo service; the environment makes it good or bad."""
    return Template(version=version, digest=f"digest-{version}", body={"program": "demo", "env": env})


def a_release(version: str = "v2") -> ReleaseRef:
    return ReleaseRef(
        workflow_id="release/test/trip", first_run_id="first", environment="test", name="trip", version=version
    )


def free_ports(count: int) -> list[int]:
    """Ports outside the range of outgoing connections and of instances, so that parallel tests stay apart."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(12000, 19999)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


@dataclass
class Runs:
    """The server's knowledge of runs: everything is open until it is closed."""

    closed: set[tuple[str, str | None]] = field(default_factory=set)

    async def is_open(self, workflow_id: str, run_id: str | None) -> bool:
        await asyncio.sleep(0)
        return (workflow_id, run_id) not in self.closed

    def close(self, workflow_id: str, run_id: str) -> None:
        """The run ends, and with it the workflow."""
        self.closed |= {(workflow_id, run_id), (workflow_id, None)}


@dataclass
class Run:
    """One workflow run, in whose name activities are called."""

    workflow_id: str
    run_id: str
    heartbeats: list[Any] = field(default_factory=list)

    async def call(self, method: Callable[..., Awaitable[T]], *arguments: Any, resumed_from: Any = None) -> T:
        """Calls an activity as the server would, with this run in `activity.info()`."""
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info,
            workflow_id=self.workflow_id,
            workflow_run_id=self.run_id,
            heartbeat_details=[] if resumed_from is None else [resumed_from],
        )
        environment.on_heartbeat = lambda *details: self.heartbeats.append(details)
        return await environment.run(method, *arguments)


class World:
    """Settings, activities and processes below one directory."""

    def __init__(self, directory: Path, **process: Any) -> None:
        self.directory = directory
        port, admin = free_ports(2)
        self.process = ProcessSettings(
            clusters={"local": LocalCluster(root=directory / "services")},
            programs={
                "demo": Program(command=(sys.executable, "-m", "cli.demo.service"), directory=REPOSITORY, stop_grace=3),
                "gone": Program(command=("/no/such/program",)),
            },
            **process,
        )
        self.envoy = EnvoySettings(
            directory=directory / "envoy",
            admin=f"http://127.0.0.1:{admin}",
            routes={"trip": Route(port=port, cluster="local", namespace="test", service="trip")},
        )
        self.runs = Runs()
        self.url = f"http://127.0.0.1:{port}"
        self._envoy: subprocess.Popen[bytes] | None = None
        self.providers = workload_providers(self.process)
        self.routers = traffic_routers(self.envoy)
        self.workloads = Workloads(self.providers)
        self.traffic = Traffic(self.routers, self.providers)
        self.targets = Targets(self.providers, self.routers, self.runs)

    def target(self, *, workload: str = "process", traffic: str = "envoy", **more: Any) -> Target:
        return Target(
            component="trip",
            cluster="local",
            namespace="test",
            workload={"kind": workload, "service": "trip"},
            traffic={"kind": traffic, "route": "trip"} | more,
            drain_seconds=3,
        )

    def run(self, run_id: str = "run-1", workflow_id: str = "") -> Run:
        return Run(workflow_id or self.target().rollout_id, run_id)

    def start_envoy(self) -> None:
        """Starts the Envoy and waits until it serves."""
        bootstrap = write_bootstrap(self.envoy, self.process.clusters)
        command = [ENVOY, "-c", bootstrap, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        with (self.directory / "envoy.log").open("wb") as log:
            self._envoy = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            with suppress(OSError), urlopen(f"{self.envoy.admin}/ready", timeout=1) as answer:
                if answer.status == 200:
                    return
            assert time.monotonic() < deadline, (self.directory / "envoy.log").read_text()
            time.sleep(0.02)

    def stop_envoy(self) -> None:
        if self._envoy:
            self._envoy.kill()
            self._envoy.wait()
            self._envoy = None

    def running(self) -> list[int]:
        """Processes that were started below this world's directory, whoever started them."""
        marker = f"{self.directory}/".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                is_ours = processes.TOKEN.encode() in (entry / "environ").read_bytes()
                if is_ours and os.readlink(entry / "fd" / "1").encode().startswith(marker):
                    found.append(int(entry.name))
        return found

    def close(self) -> None:
        """Leaves nothing behind."""
        self.stop_envoy()
        for pid in self.running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Load:
    """Constant requests to a URL, counted by version and status; a lost connection counts as status 0."""

    def __init__(self, url: str, *, users: int = 4, pause: float = 0.0) -> None:
        self._url = url
        self._users = users
        self._pause = pause
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: Counter[tuple[str, int]] = Counter()

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    @property
    def lost(self) -> dict[tuple[str, int], int]:
        """Answers that are no success, by version and status."""
        return {key: count for key, count in self.answers.items() if key[1] != 200}

    async def reach(self, total: int) -> None:
        """Waits until so many requests were answered."""
        while self.total < total:
            await asyncio.sleep(0.02)

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._use()) for _ in range(self._users)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _use(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while not self._stop.is_set():
                try:
                    async with session.get(self._url) as answer:
                        await answer.read()
                        self.answers[answer.headers.get("x-version", ""), answer.status] += 1
                except (aiohttp.ClientError, TimeoutError):
                    self.answers["", 0] += 1
                await asyncio.sleep(self._pause)
