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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.request import urlopen

import aiohttp
import pytest
from temporalio.testing import ActivityEnvironment

from activities.clusters.envoy.bootstrap import write_bootstrap
from activities.clusters.envoy.settings import EnvoySettings, Route
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from activities.clusters.local import processes
from activities.clusters.local.settings import LocalCluster, ProcessSettings, Program
from activities.targets.activities import Targets
from activities.traffic.activities import Traffic
from activities.traffic.keeping import Keeping
from activities.traffic.registry import traffic_routers
from activities.workloads.activities import Workloads
from activities.workloads.registry import workload_providers
from cli.tools import Toolbox
from tests.cluster import Namespace
from workflows.contracts.targets import AcquireRequest, CaptureRequest, SettleRequest
from workflows.contracts.traffic import Shifted, ShiftRequest
from workflows.contracts.workloads import DeployRequest, ReadyResult, RetireRequest, WaitReadyRequest
from workflows.model.target import Backend, Claim, ReleaseRef, Slot, Target, Template

T = TypeVar("T")

HASTE = {"quiet": 0.1, "propagation": 0.05}
"""Settings under which instances come and go quickly; where requests are counted, the real ones are used."""
REPOSITORY = Path(__file__).parents[2]


@cache
def envoy_program() -> Path:
    return Toolbox(may_install=False).envoy().path


def a_template(version: str, **env: str) -> Template:
    """A version of the demo service, whatever runs it; the environment makes it good or bad."""
    body = {"program": "demo", "env": env, "images": {"": f"registry.test/trip:{version}"}}
    return Template(version=version, digest=f"digest-{version}", body=body)


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


async def until(fact: Callable[[], object], *, seconds: float = 90) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not (is_true := bool(fact())) and time.monotonic() < deadline:  # noqa: ASYNC110 - the world sends no events.
        await asyncio.sleep(0.02)
    return is_true


@dataclass
class Runs:
    """The server's knowledge of runs: everything is open until it is closed."""

    closed: set[tuple[str, str | None]] = field(default_factory=set)
    namespace: str = "default"

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
                "demo": Program(command=(sys.executable, "-m", "cli.demo.service"), directory=REPOSITORY, stop_grace=1),
                "gone": Program(command=("/no/such/program",)),
            },
            **HASTE | process,
        )
        self.envoy = EnvoySettings(
            directory=directory / "envoy",
            admin=f"http://127.0.0.1:{admin}",
            routes={"trip": Route(port=port, cluster="local", namespace="test", service="trip")},
        )
        self.runs = Runs()
        self.url = f"http://127.0.0.1:{port}"
        self.kinds = ("process", "envoy")
        self.verified = "verified"
        self.divides = True
        self.maintains = True
        self._namespace: Namespace | None = None
        self._clusters = Clusters(KubernetesSettings())
        self._envoy: subprocess.Popen[bytes] | None = None
        self.rebuild(self.envoy, self.runs)

    def use_real_times(self) -> None:
        """From now on instances come and go as slowly as in production."""
        times = {name: ProcessSettings.model_fields[name].default for name in HASTE}
        self.process = self.process.model_copy(update=times)
        self.rebuild(self.envoy, self.runs)

    def rebuild(self, envoy: EnvoySettings, runs: Runs, *, patience: float = 3) -> None:
        """Makes the activities anew, as another worker would that shares the Envoy and the server."""
        self.envoy, self.runs = envoy, runs
        self.providers = workload_providers(self.process, self._clusters)
        self.routers = traffic_routers(envoy)
        self.workloads = Workloads(self.providers, Keeping(self.routers))
        self.traffic = Traffic(self.routers, self.providers, patience=patience)
        self.targets = Targets(self.providers, self.routers, runs)

    @asynccontextmanager
    async def kubernetes(self, kubeconfig: Path, **spec: Any) -> AsyncIterator[Namespace]:
        """Joins a cluster, in which an empty Deployment trip stands in a namespace of its own."""
        self._namespace = Namespace(kubeconfig)
        self._namespace.deployment(**spec)
        cluster = KubernetesCluster(kubeconfig=kubeconfig, namespaces=(self._namespace.name,), calls_per_second=1000)
        self._clusters = Clusters(KubernetesSettings(clusters={"local": cluster}))
        self.rebuild(self.envoy, self.runs)
        yield self._namespace
        await self._clusters.close()
        self._namespace.close()

    def target(self, *, workload: str = "", traffic: str = "", **more: Any) -> Target:
        """The target of the world's kinds, or of others; more is for the router."""
        kind = workload or self.kinds[0]
        return Target(
            component="trip",
            cluster="local",
            namespace=self._namespace.name if self._namespace else "test",
            workload={"kind": kind, "deployment" if kind == "kubernetes" else "service": "trip"},
            traffic={"kind": traffic or self.kinds[1], "route": "trip"} | more,
            drain_seconds=3,
        )

    def some(self, percent: float) -> dict[Backend, float]:
        """Users on the new version: so many, or all of them where the router cannot divide them."""
        share = percent if self.divides or not percent else 100.0
        return {"stable": 100 - share, "canary": share}

    async def bring(self, run: Run, target: Target, claim: Claim, weights: dict[Backend, float]) -> None:
        """What must be there before these weights can be: nothing, where a router divides users by itself."""

    def run(self, run_id: str = "run-1", workflow_id: str = "") -> Run:
        return Run(workflow_id or self.target().rollout_id, run_id)

    async def capture(self, run: Run, target: Target, version: str = "v2", *, restart: bool = False) -> Claim:
        """Captures for a release of a version and returns the claim."""
        template = a_template(version)
        request = CaptureRequest(target=target, release=a_release(version), template=template, restart=restart)
        captured = await run.call(self.targets.capture, request)
        assert captured.claim, captured
        return captured.claim

    async def capture_undo(self, run: Run, target: Target) -> Claim:
        """Takes the target for an undo."""
        acquired = await run.call(self.targets.acquire, AcquireRequest(target=target))
        assert acquired.claim, acquired
        return acquired.claim

    async def deploy(
        self, run: Run, target: Target, claim: Claim, *, slot: Slot, template: Template, replicas: int, **more: Any
    ) -> ReadyResult:
        """Deploys and waits."""
        deploy = DeployRequest(target=target, claim=claim, slot=slot, template=template, replicas=replicas, **more)
        await run.call(self.workloads.deploy, deploy)
        wait = WaitReadyRequest(target=target, claim=claim, slot=slot, replicas=replicas, timeout_seconds=20)
        return await run.call(self.workloads.wait_ready, wait)

    async def shift(
        self, run: Run, target: Target, claim: Claim, weights: dict[Backend, float], **more: Any
    ) -> Shifted:
        return await run.call(self.traffic.shift, ShiftRequest(target=target, claim=claim, weights=weights, **more))

    async def retire(self, run: Run, target: Target, claim: Claim, slot: Slot = "canary") -> None:
        request = RetireRequest(target=target, claim=claim, slot=slot, drain_seconds=3)
        await run.call(self.workloads.retire, request)

    async def stable(self, run: Run, target: Target, *, version: str = "v1", replicas: int = 1) -> Claim:
        """A released version with all users on it, settled."""
        claim = await self.capture(run, target, version)
        ready = await self.deploy(run, target, claim, slot="stable", template=a_template(version), replicas=replicas)
        assert ready.ready, ready.message
        if target.is_routed:
            assert (await self.shift(run, target, claim, {"stable": 100})).verification == self.verified
        await run.call(self.targets.settle, SettleRequest(target=target, claim=claim))
        return claim

    def start_envoy(self) -> None:
        """Starts the Envoy and waits until it serves."""
        bootstrap = write_bootstrap(self.envoy, self.process.clusters)
        command = [
            str(envoy_program()),
            "-c",
            str(bootstrap),
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warning",
        ]
        with (self.directory / "envoy.log").open("wb") as log:
            self._envoy = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 90
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
                if is_ours and bytes((entry / "fd" / "1").readlink()).startswith(marker):
                    found.append(int(entry.name))
        return found

    def close(self) -> None:
        """Leaves nothing behind."""
        self.stop_envoy()
        for pid in self.running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.01)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world without an Envoy."""
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def routed(world: World) -> World:
    """A world whose Envoy runs."""
    world.start_envoy()
    return world


class Load:
    """Constant requests to a URL, counted by version and status; a lost connection counts as status 0."""

    def __init__(self, url: str, *, users: int = 4, pause: float = 0.0) -> None:
        self._url = url
        self._users = users
        self._pause = pause
        self._stop = asyncio.Event()
        self._answered = asyncio.Event()
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
            self._answered.clear()
            await self._answered.wait()

    def finish(self) -> None:
        """Lets every user finish the request under way and leave."""
        self._stop.set()

    async def __aenter__(self) -> Self:
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
                self._answered.set()
                await asyncio.sleep(self._pause)
