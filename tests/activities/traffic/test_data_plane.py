"""Kubernetes routers with a data plane behind them: real pods, and users who never stop asking."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from activities.clusters.kubernetes.kinds import (
    GRPC_ROUTE,
    HTTP_PROXY,
    HTTP_ROUTE,
    INGRESS,
    SERVICE,
    TRAEFIK_SERVICE,
    Kind,
)
from activities.clusters.kubernetes.labels import canary_labels
from activities.clusters.kubernetes.patch import put
from infra.testbed.bed import Bed
from tests.activities.traffic.kubernetes import KubernetesWorld
from tests.activities.world import Run, a_template
from workflows.contracts.traffic import RestoreRequest
from workflows.model.target import Claim, Target

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

V1, V2 = a_template("1.0.0"), a_template("1.1.0")
CONTOUR = {"name": "contour", "namespace": "projectcontour"}


async def gateway_api(made: KubernetesWorld) -> None:
    ours = {"backendRefs": [{"name": "trip", "port": 80}]}
    body = {"metadata": {"name": "shop"}, "spec": {"parentRefs": [CONTOUR], "hostnames": [made.host], "rules": [ours]}}
    await made.open((HTTP_ROUTE, body))


async def grpc(made: KubernetesWorld) -> None:
    """A route for every method leads any request, so users need not speak gRPC."""
    ours = {"backendRefs": [{"name": "trip", "port": 80}]}
    body = {"metadata": {"name": "shop"}, "spec": {"parentRefs": [CONTOUR], "hostnames": [made.host], "rules": [ours]}}
    await made.open((GRPC_ROUTE, body))


async def contour(made: KubernetesWorld) -> None:
    spec = {"virtualhost": {"fqdn": made.host}, "routes": [{"services": [{"name": "trip", "port": 80}]}]}
    await made.open((HTTP_PROXY, {"metadata": {"name": "shop"}, "spec": spec}))


async def ingress(made: KubernetesWorld) -> None:
    """Contour serves Ingresses without a class."""
    trip = {"service": {"name": "trip", "port": {"number": 80}}}
    rule = {"host": made.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": trip}]}}
    await made.open((INGRESS, {"metadata": {"name": "shop"}, "spec": {"rules": [rule]}}))


async def traefik(made: KubernetesWorld) -> None:
    """Names of Services are Traefik's too, so the IngressRoute names the TraefikService."""
    shares = {"weighted": {"services": [{"name": "trip", "port": 80}]}}
    rule = {"kind": "Rule", "match": f"Host(`{made.host}`)", "services": [{"kind": "TraefikService", "name": "shop"}]}
    await made.open(
        (TRAEFIK_SERVICE, {"metadata": {"name": "shop"}, "spec": shares}),
        (INGRESS_ROUTE, {"metadata": {"name": "shop"}, "spec": {"routes": [rule]}}),
    )


INGRESS_ROUTE = Kind("IngressRoute", "traefik.io/v1alpha1", "ingressroutes")
SETUPS: dict[str, Any] = {"gatewayApi": gateway_api, "grpc": grpc, "contour": contour, "traefik": traefik}
LATE = {"traefik": 3}
"""Seconds after which a data plane that nobody can ask follows for sure."""
WITH_HEADERS = pytest.mark.parametrize("router", ["gatewayApi", "grpc", "contour"])


@pytest.fixture(params=SETUPS)
def router(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def shop(router: str, full_bed: Bed, tmp_path: Path) -> AsyncIterator[KubernetesWorld]:
    url = full_bed.traefik if router == "traefik" else full_bed.gateway
    if not url:
        pytest.skip(f"no data plane of {router} here; `make e2e` builds Traefik")
    made = KubernetesWorld(tmp_path, full_bed.kubeconfig, router, image="headgate.test/podinfo:{}")
    made.url = str(url)
    try:
        await (SETUPS | {"ingress": ingress}).get(router, KubernetesWorld.open)(made)
        yield made
    finally:
        await made.finish()


class Users:
    """Constant requests through the gateway, counted by version and status."""

    def __init__(self, shop: KubernetesWorld, *, at: str = "", **headers: str) -> None:
        self._url = f"{shop.url}/version"
        self._headers = {"Host": f"{at}{shop.host}", **headers}
        self._stopped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: Counter[tuple[str, int]] = Counter()
        self.last: dict[str, float] = {}
        self.reconnects = False

    @property
    def lost(self) -> dict[tuple[str, int], int]:
        return {key: count for key, count in self.answers.items() if key[1] != 200}

    async def more(self, count: int) -> Counter[str]:
        """The versions of so many more answers."""
        before = self.answers.copy()
        while self.answers.total() - before.total() < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        found = self.answers - before
        return Counter({version: n for (version, _), n in found.items()})

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._use()) for _ in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        await asyncio.gather(*self._tasks)

    async def _use(self) -> None:
        connector = aiohttp.TCPConnector(force_close=self.reconnects)
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while not self._stopped.is_set():
                try:
                    async with session.get(self._url, headers=self._headers) as answer:
                        text = await answer.text()
                        version = json.loads(text)["version"] if answer.status == 200 else text[:60]
                        self.answers[version, answer.status] += 1
                        self.last[version] = time.monotonic()
                except aiohttp.ClientError as error:
                    self.answers[type(error).__name__, 0] += 1
                await asyncio.sleep(0.002)


@pytest.fixture
def target(shop: KubernetesWorld) -> Target:
    if shop.router in ("service", "traefik"):
        return shop.target()
    if shop.router == "ingress":
        return shop.target(preview={"host": f"next.{shop.host}"})
    return shop.target(match=[{"header": "x-canary", "exact": "yes"}], preview={"host": f"next.{shop.host}"})


@pytest.fixture
async def claim(shop: KubernetesWorld, run: Run, target: Target) -> Claim:
    """The old version serves, the new one is ready beside it."""
    claim = await shop.capture(run, target)
    for slot, template in (("stable", V1), ("canary", V2)):
        ready = await shop.deploy(run, target, claim, slot=slot, template=template, replicas=2)  # type: ignore[arg-type]
        assert ready.ready, ready.message
    if target.traffic["kind"] != "service":
        await serves(shop)
    return claim


async def serves(shop: KubernetesWorld) -> None:
    deadline = time.monotonic() + 30
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{shop.url}/version", headers={"Host": shop.host}) as answer:
                    if answer.status == 200:
                        return
                    said = await answer.text()
            except aiohttp.ClientError as error:
                said = str(error)
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.1)


async def test_users_follow_the_weights_and_none_of_them_notices(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before = (await run.call(shop.targets._inspect, target)).traffic
    assert before
    async with Users(shop) as users:
        assert set(await users.more(300)) == {"1.0.0"}
        for share in (5, 25, 50, 100, 0, 100, 0, 50, 0):
            begun = time.monotonic()
            shifted = await shop.shift(run, target, claim, {"stable": 100 - share, "canary": share})
            took = time.monotonic() - begun
            assert shifted.verification == shop.verified, shifted.message
            await asyncio.sleep(LATE.get(shop.router, 0))
            seen = await users.more(1000)
            print(f"{share:3} %: {took * 1000:.0f} ms, {dict(seen)}, lost {users.lost}")
            if share in (0, 100):
                assert set(seen) == {"1.1.0" if share else "1.0.0"}
            else:
                assert abs(seen["1.1.0"] / seen.total() - share / 100) < 0.06
        restored = await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=claim, state=before))
        assert restored.verification == shop.verified
        await shop.retire(run, target, claim)
        await users.more(500)
    assert users.lost == {}


@WITH_HEADERS
async def test_headers_and_the_preview_host_reach_the_new_version_alone(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    shifted = await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    assert shifted.verification == shop.verified, shifted.message
    async with (
        Users(shop) as users,
        Users(shop, **{"x-canary": "yes"}) as asking,
        Users(shop, at="next.") as previewing,
    ):
        assert set(await users.more(200)) == {"1.0.0"}
        assert set(await asking.more(200)) == {"1.1.0"}
        assert set(await previewing.more(200)) == {"1.1.0"}
        await shop.shift(run, target, claim, {"stable": 100})
        await asyncio.sleep(0.3)
        assert set(await asking.more(200)) == {"1.0.0"}
        assert (await previewing.more(200))["1.1.0"] == 0
    assert users.lost == asking.lost == {}


@WITH_HEADERS
async def test_maintenance_answers_503_and_lets_headers_through(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    shifted = await shop.shift(run, target, claim, {"maintenance": 100}, preview_to="canary")
    assert shifted.verification == shop.verified, shifted.message
    async with Users(shop) as users, Users(shop, **{"x-canary": "yes"}) as asking:
        await users.more(100)
        assert {status for _, status in users.answers} == {503}
        assert set(await asking.more(100)) == {"1.1.0"}
    await shop.shift(run, target, claim, {"stable": 100})
    async with Users(shop) as users:
        assert set(await users.more(200)) == {"1.0.0"}


async def test_an_undo_reaches_users_at_once(shop: KubernetesWorld, run: Run, target: Target, claim: Claim) -> None:
    await shop.shift(run, target, claim, {"stable": 50, "canary": 50})
    late = LATE.get(shop.router, 0)
    await asyncio.sleep(late)
    undo = await shop.capture_undo(run, target)
    async with Users(shop) as users:
        await users.more(200)
        begun = time.monotonic()
        assert (await shop.shift(run, target, undo, {"stable": 100})).verification == shop.verified
        await asyncio.sleep(late)
        await users.more(500)
    assert users.last["1.1.0"] - begun < 1 + late
    assert users.lost == {}


@pytest.fixture
async def node_port(shop: KubernetesWorld, claim: Claim) -> None:
    await open_node_port(shop)


async def open_node_port(shop: KubernetesWorld) -> None:
    """The Service answers at the node itself."""
    await shop.api.patch(SERVICE, shop.place, "trip", [put(("spec", "type"), "NodePort")])
    found = await shop.api.get(SERVICE, shop.place, "trip")
    host = shop.url.rpartition(":")[0]
    shop.url = f"{host}:{found['spec']['ports'][0]['nodePort']}"
    await serves(shop)


@pytest.mark.parametrize("router", ["contour"])
async def test_copies_reach_the_new_version_and_no_user_does(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    target = shop.target(mirror={"percent": 25})
    port = {"port": 9797, "targetPort": 9797}
    spec = {"type": "NodePort", "selector": canary_labels(target.key), "ports": [port]}
    found = await shop.api.create(SERVICE, shop.place, {"metadata": {"name": "counters"}, "spec": spec})
    counters = f"{shop.url.rpartition(':')[0]}:{found['spec']['ports'][0]['nodePort']}/metrics"
    await shop.deploy(run, target, claim, slot="canary", template=V2, replicas=1)
    await until_reached(counters)
    before = await served(counters)
    shifted = await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
    assert shifted.verification == shop.verified, shifted.message
    async with Users(shop) as users:
        assert set(await users.more(2000)) == {"1.0.0"}
    copied = await served(counters) - before
    print(f"{copied} copies of {users.answers.total()} requests, lost {users.lost}")
    assert abs(copied / users.answers.total() - 0.25) < 0.05
    await shop.shift(run, target, claim, {"stable": 100})
    before = await served(counters)
    async with Users(shop) as users:
        await users.more(500)
    assert await served(counters) == before
    assert users.lost == {}


async def served(counters: str) -> int:
    """Requests for the version that an instance has counted."""
    async with aiohttp.ClientSession() as session, session.get(counters) as answer:
        lines = (await answer.text()).splitlines()
    found = [line for line in lines if line.startswith("http_request_duration_seconds_count") and "version" in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)


async def until_reached(url: str) -> None:
    """The node's proxy follows at most once a second."""
    async with asyncio.timeout(10), aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                await session.get(url)
                return
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("router", ["replicas"])
async def test_users_meet_the_versions_in_the_ratio_of_their_pods(shop: KubernetesWorld, run: Run) -> None:
    await shop.own()
    target = shop.target()
    claim = await shop.capture(run, target)
    assert (await shop.deploy(run, target, claim, slot="stable", template=shop.version("1.0.0"), replicas=3)).ready
    await open_node_port(shop)
    for pods, share in ((1, 25.0), (3, 50.0)):
        version = shop.version("1.1.0")
        ready = await shop.deploy(run, target, claim, slot="canary", template=version, replicas=pods)
        assert ready.ready, ready.message
        shifted = await shop.shift(run, target, claim, {"stable": 100 - share, "canary": share})
        assert shifted.verification == "verified", shifted.message
        await asyncio.sleep(1.2)  # The node's proxy follows at most once a second.
        async with Users(shop) as users:
            users.reconnects = True
            seen = await users.more(2000)
        print(f"{share} %: {dict(seen)}, lost {users.lost}")
        error = 4 * (share * (100 - share) / seen.total()) ** 0.5
        assert abs(100 * seen["1.1.0"] / seen.total() - share) < error
        assert users.lost == {}


@pytest.mark.parametrize("router", ["service"])
async def test_a_switched_service_takes_all_new_connections_with_it(
    shop: KubernetesWorld, run: Run, claim: Claim, node_port: None
) -> None:
    target = shop.target()
    async with Users(shop) as users:
        users.reconnects = True
        assert set(await users.more(300)) == {"1.0.0"}
        for backend, version in (("canary", "1.1.0"), ("stable", "1.0.0"), ("canary", "1.1.0"), ("stable", "1.0.0")):
            begun = time.monotonic()
            shifted = await shop.shift(run, target, claim, {backend: 100})  # type: ignore[dict-item]
            took = time.monotonic() - begun
            assert shifted.verification == shop.verified, shifted.message
            await asyncio.sleep(1.2)  # The node's proxy follows at most once a second.
            assert set(await users.more(300)) == {version}
            print(f"{backend}: {took * 1000:.0f} ms, lost {users.lost}")
            assert took < 1
    assert users.lost == {}


@pytest.mark.parametrize("router", ["ingress"])
async def test_a_switched_ingress_takes_all_users_with_it_and_none_of_them_notices(
    shop: KubernetesWorld, run: Run, target: Target, claim: Claim
) -> None:
    before = (await run.call(shop.targets._inspect, target)).traffic
    assert before
    async with Users(shop) as users:
        assert set(await users.more(300)) == {"1.0.0"}
        await shop.shift(run, target, claim, {"stable": 100}, preview_to="canary")
        async with Users(shop, at="next.") as previewing:
            assert set(await previewing.more(200)) == {"1.1.0"}
            assert set(await users.more(200)) == {"1.0.0"}
        for backend, version in (("canary", "1.1.0"), ("stable", "1.0.0")) * 5:
            begun = time.monotonic()
            shifted = await shop.shift(run, target, claim, {backend: 100}, preview_to="canary")  # type: ignore[dict-item]
            took = time.monotonic() - begun
            assert shifted.verification == shop.verified, shifted.message
            assert set(await users.more(500)) == {version}
            other = "1.0.0" if version == "1.1.0" else "1.1.0"
            late = (users.last[other] - begun) * 1000
            print(f"{backend}: {took * 1000:.0f} ms, the last answer of {other} after {late:.0f} ms, lost {users.lost}")
        await run.call(shop.traffic.restore, RestoreRequest(target=target, claim=claim, state=before))
        await shop.retire(run, target, claim)
        await users.more(500)
    assert previewing.lost == users.lost == {}
