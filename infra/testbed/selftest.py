"""Proves the test bed from end to end, and measures it: `python -m infra.testbed selftest --profile full`.

Every check is a line with the time it took; the first that fails ends the run, and the cluster goes either way.
"""

import http.client
import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from kubernetes.client import ApiException

from infra.testbed import crds
from infra.testbed.bed import Bed, bed
from infra.testbed.cluster import clusters
from infra.testbed.errors import BedError
from infra.testbed.layout import Profile
from infra.testbed.manifests import MANIFESTS
from infra.testbed.processes import polling

ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/podinfo"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=podinfo"
REQUESTS = 2000


def run(profile: Profile) -> None:
    """Bring a cluster up, release in it, break it, and look at what is left of it."""
    begun = time.monotonic()
    with bed(profile) as found:
        _told(f"{profile} is up", begun)
        with _timed(f"CRDs of {', '.join(crds.SOURCES)}"):
            crds.install(found.api)
        _release(found)
        _outage(found)
        if found.gateway:
            _traffic(found)
        begun = time.monotonic()
    _told("down, nothing is left", begun)
    names = [cluster.name for cluster in clusters()]
    _demand(found.cluster.name not in names, f"the cluster is gone from {names}")


def _release(found: Bed) -> None:
    """Roll out, serve from endpoints, and refuse a version that never gets Ready."""
    api = found.api
    with _timed("podinfo is available"):
        api.apply(MANIFESTS / "podinfo.yaml")
        _rolled_out(found, "podinfo-stable")
        _rolled_out(found, "podinfo-canary")
    endpoints = [e for found_slice in api.get(SLICES)["items"] for e in found_slice["endpoints"]]
    _demand(sum(bool(e["conditions"]["ready"]) for e in endpoints) == 2, f"two ready endpoints, not {endpoints}")
    with _timed("a rolling update is available"):
        _set_image(found, "1.1.0")
        _rolled_out(found, "podinfo-stable")
    with _timed("a bad version is not"):
        _set_image(found, "1.1.3-unready")
        time.sleep(2)
        status = api.get(f"{DEPLOYMENTS}/podinfo-stable")["status"]
        _demand(status.get("unavailableReplicas", 0) > 0, f"something is unavailable in {status}")
    with _timed("the first version is available again"):
        _set_image(found, "1.0.0")
        _rolled_out(found, "podinfo-stable")


def _outage(found: Bed) -> None:
    """Lose the API server and get it back with its data."""
    with _timed("the API server was killed and is back"):
        found.cluster.stop("kube-apiserver", at_once=True)
        _demand(not found.api.is_ready, "the API server is away")
        found.cluster.start("kube-apiserver")
        for _ in polling("the API server", limit=60):
            if found.api.is_ready:
                break
    _demand(found.api.get(f"{DEPLOYMENTS}/podinfo-stable") is not None, "the data is still there")


def _traffic(found: Bed) -> None:
    """Split traffic, time a change of weights on the wire, and roll under load without losing a request."""
    found.api.apply(MANIFESTS / "route.yaml")
    for _ in polling("the route", limit=30):
        if _answer(found) in {"1.0.0", "1.1.0"}:
            break
    for stable, canary in ((90, 10), (50, 50), (0, 100)):
        _weigh(found, stable, canary)
        time.sleep(1)
        seen = Counter(_answer(found) for _ in range(REQUESTS))
        _say(f"{REQUESTS} requests at {stable}/{canary}: {dict(sorted(seen.items()))}")
        _demand(abs(seen["1.1.0"] - REQUESTS * canary / 100) < 0.05 * REQUESTS, f"{seen} is about {stable}/{canary}")
    delays = [_delay(found, to) for to in ("1.0.0", "1.1.0") * 5]
    _say(f"a change of weights shows after {statistics.median(delays):.0f} ms, {max(delays):.0f} ms at most")
    _weigh(found, 100, 0)
    time.sleep(1)
    with _timed("a rolling update under load loses nothing"), _load(found) as answers:
        _set_image(found, "1.1.0")
        _rolled_out(found, "podinfo-stable")
    _say(f"{answers.total()} requests meanwhile: {dict(sorted(answers.items()))}")
    _demand(set(answers) <= {"1.0.0", "1.1.0"}, f"no errors in {answers}")


def _set_image(found: Bed, tag: str) -> None:
    image = {"name": "podinfo", "image": f"headgate.test/podinfo:{tag}"}
    template = {"spec": {"containers": [image]}}
    patch = {"spec": {"template": template}}
    kind = "application/strategic-merge-patch+json"
    found.api.request("PATCH", f"{DEPLOYMENTS}/podinfo-stable", patch, kind=kind)


def _rolled_out(found: Bed, name: str) -> None:
    for _ in polling(f"{name} to be available", limit=60):
        deployment = found.api.get(f"{DEPLOYMENTS}/{name}")
        status, wanted = deployment["status"], deployment["spec"]["replicas"]
        counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
        if status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == {wanted}:
            return


def _weigh(found: Bed, stable: int, canary: int) -> None:
    weights = enumerate((stable, canary))
    patch = [{"op": "replace", "path": f"/spec/rules/0/backendRefs/{n}/weight", "value": w} for n, w in weights]
    for _ in polling("the route to be patched", limit=10):
        try:
            found.api.request("PATCH", ROUTE, patch, kind="application/json-patch+json")
        except ApiException as error:
            if error.status != 409:
                raise
        else:
            return


def _delay(found: Bed, version: str) -> float:
    """Milliseconds from sending a change of weights to the first answer of the version."""
    time.sleep(0.5)
    begun = time.monotonic()
    _weigh(found, *((100, 0) if version == "1.0.0" else (0, 100)))
    for _ in polling(version, limit=5, interval=0.001):
        if _answer(found) == version:
            break
    return 1000 * (time.monotonic() - begun)


@contextmanager
def _load(found: Bed) -> Iterator[Counter[str]]:
    """Send requests until the block ends, and count the answers."""
    answers: Counter[str] = Counter()
    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            answers[_answer(found)] += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join()


def _answer(found: Bed) -> str:
    """The version that answers through the gateway, or what went wrong."""
    connection = http.client.HTTPConnection(urlsplit(found.gateway or "").netloc, timeout=5)
    try:
        connection.request("GET", "/version", headers={"Host": "podinfo.test"})
        answer = connection.getresponse()
        return str(json.loads(answer.read())["version"]) if answer.status == 200 else str(answer.status)
    except OSError as error:
        return type(error).__name__
    finally:
        connection.close()


@contextmanager
def _timed(what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    _told(what, begun)


def _told(what: str, begun: float) -> None:
    print(f"{time.monotonic() - begun:6.2f} s  {what}", flush=True)


def _say(what: str) -> None:
    print(f"          {what}", flush=True)


def _demand(fact: object, what: str) -> None:
    if not fact:
        raise BedError(f"The self-test wants that {what}. Look at the daemons' logs with the same steps by hand.")
